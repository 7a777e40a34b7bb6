//go:build !unix && !windows

package dial

import "mailaudit/internal/audit"

// errnoCode knows no errnos on this system: what the generic error values do
// not tell stays LocalError, which is never held against anybody.
func errnoCode(error) audit.Code { return "" }
