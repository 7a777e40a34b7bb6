package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mailaudit/internal/audit"
	"mailaudit/internal/rules"
)

func TestDocsAreFresh(t *testing.T) {
	for _, d := range documents() {
		have, err := os.ReadFile(filepath.Join("..", "..", d.path))
		if err != nil {
			t.Fatal(err)
		}
		want, err := d.text()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is stale: run make docs", d.path)
		}
	}
}

// TestExamples does the sums of the examples as a reader would, and compares
// them with what the program gave.
func TestExamples(t *testing.T) {
	for name, e := range map[string]example{"first": first(), "second": second()} {
		e, err := play(e)
		if err != nil {
			t.Fatal(err)
		}
		for i, axis := range audit.Axes() {
			a := e.run.Score.Axes[axis]
			sum, result, _ := strings.Cut(e.Sums[i], ", ")
			if a.Points == nil {
				if !strings.HasSuffix(result, "no grade") || a.Grade != audit.NoGrade {
					t.Errorf("%s: %s: %q", name, axis, e.Sums[i])
				}
				continue
			}
			_, sum, _ = strings.Cut(sum, ": ")
			left, right, equation := strings.Cut(sum, " = ")
			if !equation {
				right = left
			}
			points := 0
			for i, number := range strings.Split(left, " - ") {
				n, err := strconv.Atoi(number)
				if err != nil {
					t.Fatalf("%s: %q: %v", name, e.Sums[i], err)
				}
				if i > 0 {
					n = -n
				}
				points += n
			}
			if points != *a.Points || right != fmt.Sprint(points) {
				t.Errorf("%s: %q is %d, and the program gave %d", name, e.Sums[i], points, *a.Points)
			}
			if !strings.HasPrefix(result, "grade "+string(a.Grade)) || strings.Contains(result, "provisional") != a.Provisional {
				t.Errorf("%s: %q, and the program says %s, provisional %t", name, e.Sums[i], a.Grade, a.Provisional)
			}
		}
	}
}

// TestExamplesTell keeps the examples from losing what they are there for.
func TestExamplesTell(t *testing.T) {
	one, err := play(first())
	if err != nil {
		t.Fatal(err)
	}
	two, err := play(second())
	if err != nil {
		t.Fatal(err)
	}
	a := one.run.Score.Axes
	if *a[audit.Delivery].Points != 43 || *a[audit.Protection].Points != 72 || *a[audit.Privacy].Points != 77 || one.run.Score.Coverage != 100 {
		t.Errorf("the first example: %v", one.Sums)
	}
	b := two.run.Score.Axes
	if b[audit.Delivery].Grade != audit.GradeA || !b[audit.Delivery].Provisional || b[audit.Protection].Grade != audit.NoGrade || *b[audit.Privacy].Points != 78 {
		t.Errorf("the second example: %v", two.Sums)
	}
	if rules.RubricVersion != 1 {
		t.Error("the numbers in this test are those of rubric 1")
	}
}
