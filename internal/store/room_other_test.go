//go:build !linux

package store

import "errors"

func childWithoutRoom(string) error { return errors.New("only Linux lets a test have a small disk") }
