// Package mailaudit holds the one file that the program embeds from the top
// of its repository: go:embed cannot reach upwards from a package below.
package mailaudit

import _ "embed"

// Schema is schema.sql: what runs on an empty history file.
//
//go:embed schema.sql
var Schema string
