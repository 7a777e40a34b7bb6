#!/bin/sh
# Holds the HTML reports to WCAG 2.2 AA: sh test/axe/run.sh [FILE.html...]
# Without files: all golden documents of internal/report. It needs chromium,
# node and npm; with CI=true it fails where they are missing, otherwise it says
# so and passes.
set -eu

missing() {
	echo "not run: there is no $1 here (Debian: apt-get install chromium nodejs npm)"
	if [ "${CI:-}" = true ]; then
		exit 1
	fi
	exit 0
}

browser=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
[ -n "$browser" ] || missing chromium
command -v node >/dev/null || missing node
command -v npm >/dev/null || missing npm

here=$(cd "$(dirname "$0")" && pwd)
if [ $# -eq 0 ]; then
	testdata=$here/../../internal/report/testdata
	set -- "$testdata"/*.html "$testdata"/lists/*.html
fi
(cd "$here" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
exec node "$here/axe.mjs" "$browser" "$@"
