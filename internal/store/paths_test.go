package store

import (
	"errors"
	"path/filepath"
	"testing"

	"mailaudit/internal/audit"
)

func TestDefaultPath(t *testing.T) {
	cases := []struct {
		goos string
		env  map[string]string
		want string // "" is an error
	}{
		{"linux", map[string]string{"HOME": "/home/u"}, "/home/u/.local/share/mailaudit/history.db"},
		{"linux", map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "/data"}, "/data/mailaudit/history.db"},
		{"linux", map[string]string{"XDG_DATA_HOME": "/data"}, "/data/mailaudit/history.db"},
		{"linux", map[string]string{"HOME": "/home/u", "XDG_DATA_HOME": "relative"}, "/home/u/.local/share/mailaudit/history.db"},
		{"linux", map[string]string{"XDG_DATA_HOME": "relative"}, ""},
		{"linux", nil, ""},
		{"freebsd", map[string]string{"HOME": "/home/u"}, "/home/u/.local/share/mailaudit/history.db"},
		{"darwin", map[string]string{"HOME": "/Users/u"}, "/Users/u/Library/Application Support/mailaudit/history.db"},
		{"darwin", map[string]string{"HOME": "/Users/u", "XDG_DATA_HOME": "/data"}, "/data/mailaudit/history.db"},
		{"windows", map[string]string{"LOCALAPPDATA": "/AppData", "HOME": "/h"}, "/AppData/mailaudit/history.db"},
		{"windows", map[string]string{"HOME": "/h"}, ""},
	}
	for _, c := range cases {
		got, err := defaultPath(c.goos, func(name string) string { return c.env[name] })
		var input *audit.InputError
		switch {
		case c.want == "" && (!errors.As(err, &input) || input.Hint != "name a file with --db FILE, or run without history: --no-save"):
			t.Errorf("%s %v: %q, %v", c.goos, c.env, got, err)
		case c.want != "" && (err != nil || filepath.ToSlash(got) != c.want):
			t.Errorf("%s %v: %q, %v; want %q", c.goos, c.env, got, err, c.want)
		}
	}
	_, err := DefaultPath(func(string) string { return "" })
	if err == nil {
		t.Error("DefaultPath works without an environment")
	}
}
