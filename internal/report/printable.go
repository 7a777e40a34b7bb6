package report

import (
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"
)

// maxText is how many bytes of one piece of text a document shows: more than
// the longest TXT record with a key in it takes, and less than a page.
const maxText = 2000

// printable is a copy of a model in which every string has gone through
// Screen, and none goes on for pages. Documents are made of such a copy: whatever field is added to the
// model, and whatever a renderer forgets, no control character gets through.
func printable(m Model) Model {
	out := reflect.New(reflect.TypeFor[Model]()).Elem()
	screenInto(out, reflect.ValueOf(m))
	return out.Interface().(Model)
}

// screenInto copies a value and all that it points to.
func screenInto(to, from reflect.Value) {
	switch from.Kind() {
	case reflect.String:
		to.SetString(clipped(Screen(from.String())))
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(from.Type().Elem()))
			screenInto(to.Elem(), from.Elem())
		}
	case reflect.Slice:
		if !from.IsNil() {
			to.Set(reflect.MakeSlice(from.Type(), from.Len(), from.Len()))
		}
		for i := range from.Len() {
			screenInto(to.Index(i), from.Index(i))
		}
	case reflect.Struct:
		if from.Type() == reflect.TypeFor[time.Time]() {
			to.Set(from)
			return
		}
		for i := range from.NumField() {
			screenInto(to.Field(i), from.Field(i))
		}
	default:
		to.Set(from)
	}
}

// clipped is s, or its beginning and how much there is more of it.
func clipped(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + fmt.Sprintf(" ... and %d characters more (-f json has all)", utf8.RuneCountInString(s[end:]))
}
