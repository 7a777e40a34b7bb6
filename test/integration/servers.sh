#!/usr/bin/env bash
# Unpacks the mail servers that cannot be installed beside Postfix: their
# packages conflict in dpkg, each being the mail transport agent of a system,
# but not on disk.
#
#	bash test/integration/servers.sh [DIRECTORY]
#
# downloads Debian's Exim, OpenSMTPD and Dovecot with what of their libraries
# this system lacks, and unpacks all of it into one tree, from which the tests
# run them (see package comment). Nothing is installed, no script of a package
# runs. A second call finds the tree and does nothing.
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"

dir=${1:-${MAILAUDIT_SERVERS:-/var/cache/mailaudit-servers}}
programs="usr/sbin/exim4 usr/sbin/smtpd usr/sbin/dovecot usr/lib/dovecot/submission-login usr/lib/dovecot/auth"

# whole TREE: every program is there, with every library that it wants.
whole() {
	local program libraries wants
	libraries=$(find "$1/usr/lib" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
	for program in $programs; do
		[ -x "$1/$program" ] || return 1
		wants=$(LD_LIBRARY_PATH=$libraries ldd "$1/$program") || return 1
		case $wants in
		*"not found"*) return 1 ;;
		esac
	done
}

if whole "$dir" 2>/dev/null; then
	echo "unpacked before in $dir:" $(cat "$dir/packages")
	exit 0
fi

if [ -e "$dir" ] && [ ! -e "$dir/packages" ]; then
	echo "$dir exists and is not what an earlier call left there" >&2
	exit 1
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/mailaudit-servers-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/archives/partial" "$work/tree/usr"/{bin,sbin,lib}
# Packages still name the directories of before the merger (Debian bug 978636).
ln -s usr/bin usr/sbin usr/lib "$work/tree/"

apt-get update -qq
for package in exim4-daemon-light opensmtpd dovecot-submissiond; do
	# Only downloaded: what it says of removing Postfix does not come to pass.
	apt-get install -qq -y --download-only --no-install-recommends \
		-o Dir::Cache::archives="$work/archives" -o APT::Sandbox::User=root "$package" >/dev/null
done
for archive in "$work"/archives/*.deb; do
	dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$work/tree" --keep-directory-symlink
	dpkg-deb --show --showformat '${Package}=${Version}\n' "$archive" >>"$work/tree/packages"
done
if ! whole "$work/tree"; then
	echo "the packages do not hold what the tests need:" $(cat "$work/tree/packages") >&2
	exit 1
fi
rm -rf "$dir"
mkdir -p "$(dirname "$dir")"
cp -a "$work/tree" "$dir"
chmod 755 "$dir"
echo "unpacked into $dir:" $(cat "$dir/packages")
