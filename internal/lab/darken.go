package lab

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"mailaudit/internal/audit"
)

// Observation is one observation inside the facts of a run, found by
// [Observations]. It can be made unknown where it stands.
type Observation struct {
	Path string // "Facts.SMTP.0.TLS.Value.Trust"
	at   reflect.Value
}

// Observations lists every observation in f, those inside the values of
// others included, always in the same order. They stay part of f.
func Observations(f *audit.Facts) []Observation {
	return observations(nil, "Facts", reflect.ValueOf(f).Elem())
}

func observations(out []Observation, path string, v reflect.Value) []Observation {
	switch v.Kind() {
	case reflect.Struct:
		// Instances of a generic type are known by their name only.
		if v.Type().PkgPath() == reflect.TypeFor[audit.Facts]().PkgPath() && strings.HasPrefix(v.Type().Name(), "Obs[") {
			out = append(out, Observation{path, v})
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				out = observations(out, path+"."+f.Name, v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = observations(out, fmt.Sprintf("%s.%d", path, i), v.Index(i))
		}
	}
	return out
}

// State is the state of the observation now.
func (o Observation) State() audit.State { return audit.State(o.at.FieldByName("State").String()) }

// Darken makes the observation unknown for a reason. Its value goes; how it
// was asked stays.
func (o Observation) Darken(why audit.Reason) {
	via := o.at.FieldByName("Via").String()
	o.at.SetZero()
	o.at.FieldByName("State").SetString(string(audit.Unknown))
	o.at.FieldByName("Why").Set(reflect.ValueOf(why))
	o.at.FieldByName("Via").SetString(via)
}

// darkCodes are ways in which the world, or our own side, fails to answer.
func darkCodes() []audit.Code {
	return []audit.Code{audit.Timeout, audit.ServFail, audit.DNSRefused, audit.TempFail, audit.EgressBlock, audit.Reset}
}

// CheckDarkening proves the darkening law for one snapshot and one way of
// judging, and returns a sentence for each violation. The law: with any single
// observation made unknown, no verdict turns from pass into fail or from fail
// into pass, no rule breaks down, and a rule that quotes the unknown one says
// unknown. The error is that of copying the snapshot through its JSON; the
// snapshot itself is not changed.
func CheckDarkening(s *audit.Snapshot, judge func(*audit.Snapshot) []audit.Finding) ([]string, error) {
	before := map[audit.Key]audit.Status{}
	for _, f := range judge(s) {
		before[f.Key()] = f.Status
	}
	var broken []string
	err := eachDark(s, func(dark *audit.Snapshot, why audit.Reason) {
		broken = append(broken, violations(before, judge(dark), why)...)
	})
	return broken, err
}

// eachDark calls look with a copy of the snapshot in which one observation
// after the other is unknown, each for itself and for a reason that names it.
func eachDark(s *audit.Snapshot, look func(dark *audit.Snapshot, why audit.Reason)) error {
	whole, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("copy the snapshot: %w", err)
	}
	var dark audit.Snapshot
	err = json.Unmarshal(whole, &dark)
	if err != nil {
		return fmt.Errorf("copy the snapshot: %w", err)
	}
	for i, o := range Observations(&dark.Facts) {
		light := reflect.New(o.at.Type()).Elem()
		light.Set(o.at)
		why := audit.Reason{Code: darkCodes()[i%len(darkCodes())], Text: "darkened " + o.Path}
		o.Darken(why)
		look(&dark, why)
		o.at.Set(light)
	}
	return nil
}

// violations compares the verdicts before with those in the dark.
func violations(before map[audit.Key]audit.Status, dark []audit.Finding, why audit.Reason) []string {
	var out []string
	for _, f := range dark {
		was := before[f.Key()]
		switch {
		case f.Cause == audit.Bug:
			out = append(out, fmt.Sprintf("%s broke %s of %s: %s", why.Text, f.Rule, f.Subject, f.Detail))
		case was.Known() && f.Status.Known() && was != f.Status:
			out = append(out, fmt.Sprintf("%s turned %s of %s from %s into %s", why.Text, f.Rule, f.Subject, was, f.Status))
		case f.Detail == why.Text && f.Status != audit.UnknownStatus:
			out = append(out, fmt.Sprintf("%s, which %s of %s quotes and says %s", why.Text, f.Rule, f.Subject, f.Status))
		}
	}
	return out
}
