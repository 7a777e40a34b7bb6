package store

import (
	"path/filepath"
	"runtime"

	"mailaudit/internal/audit"
)

// DefaultPath is where the history is when --db names no file:
// $XDG_DATA_HOME/mailaudit/history.db, for want of that variable the data
// directory that the system's custom has (~/.local/share, on macOS
// ~/Library/Application Support, on Windows %LOCALAPPDATA%). env looks up an
// environment variable. Without a home directory it fails with an
// *audit.InputError.
func DefaultPath(env func(string) string) (string, error) { return defaultPath(runtime.GOOS, env) }

func defaultPath(goos string, env func(string) string) (string, error) {
	dir := ""
	// The XDG Base Directory Specification has relative paths ignored.
	if xdg := env("XDG_DATA_HOME"); filepath.IsAbs(xdg) {
		dir = xdg
	}
	home := env("HOME")
	switch {
	case dir != "":
	case goos == "windows":
		dir = env("LOCALAPPDATA")
	case home == "":
	case goos == "darwin":
		dir = filepath.Join(home, "Library", "Application Support")
	default:
		dir = filepath.Join(home, ".local", "share")
	}
	if dir == "" {
		return "", &audit.InputError{
			Problem: "there is no home directory to keep the history in",
			Hint:    "name a file with --db FILE, or run without history: --no-save",
		}
	}
	return filepath.Join(dir, "mailaudit", "history.db"), nil
}
