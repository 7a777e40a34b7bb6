package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
)

// compressFrom is the size in octets from which compression is tried at all:
// below, the frame of zstd eats what it saves.
const compressFrom = 128

// blob is a row of blobs.
type blob struct {
	sum    []byte
	size   int
	packed bool
	data   []byte
}

func scanBlob(row *sql.Row) (blob, error) {
	var b blob
	err := row.Scan(&b.sum, &b.size, &b.packed, &b.data)
	return b, err
}

// open returns the content of a blob and proves by its hash that it is what
// was stored.
func (db *DB) open(b blob) ([]byte, error) {
	content, err := db.unpack(b.data, b.packed, b.size)
	if err != nil {
		return nil, err
	}
	if !sameSum(sha256.Sum256(content), b.sum) {
		return nil, errors.New("its content does not match its hash")
	}
	return content, nil
}

// sameSum compares a hash with a stored one, whose length proves nothing.
func sameSum(sum [sha256.Size]byte, stored []byte) bool { return string(sum[:]) == string(stored) }

// unpack reverses the compression of a blob or a sidecar and checks the size.
func (db *DB) unpack(data []byte, packed bool, size int) ([]byte, error) {
	if packed {
		var err error
		data, err = db.dec.DecodeAll(data, nil)
		if err != nil {
			return nil, fmt.Errorf("it does not decompress: %w", err)
		}
	}
	if len(data) != size {
		return nil, fmt.Errorf("it has %d octets instead of %d", len(data), size)
	}
	return data, nil
}

// internBlob stores content once, compressed where that saves a tenth or more.
func (db *DB) internBlob(ctx context.Context, tx *sql.Tx, content []byte) (int64, error) {
	sum := sha256.Sum256(content)
	var id int64
	err := tx.QueryRowContext(ctx, "SELECT id FROM blobs WHERE sha256 = ?", sum[:]).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	data, packed := content, false
	if len(content) >= compressFrom {
		small := db.enc.EncodeAll(content, nil)
		if len(small)*10 <= len(content)*9 {
			data, packed = small, true
		}
	}
	err = tx.QueryRowContext(ctx, "INSERT INTO blobs (sha256, size, zstd, data) VALUES (?, ?, ?, ?) RETURNING id",
		sum[:], len(content), packed, data).Scan(&id)
	return id, err
}
