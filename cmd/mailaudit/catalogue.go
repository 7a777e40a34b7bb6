package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"mailaudit/internal/audit"
	"mailaudit/internal/report"
	"mailaudit/internal/rules"
)

func (p *program) explainCommand() *cli.Command {
	return &cli.Command{
		Name: "explain", Usage: "explain a rule: why it matters, what to do, where it is written", ArgsUsage: "RULE",
		Description: `mailaudit explain tls.starttls-missing
mailaudit explain mx.implicit`,
		Flags: []cli.Flag{colorFlag()},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return &audit.InputError{Problem: "explain takes one rule", Hint: "mailaudit rules lists them"}
			}
			word := c.Args().First()
			rule, ok := rules.Lookup(audit.RuleID(word))
			if !ok {
				return unknownRule(word)
			}
			color, err := p.wantsColor(c.String("color"), p.out)
			if err != nil {
				return err
			}
			return p.wrote(report.Explain(p.out, rule, color))
		},
	}
}

func unknownRule(word string) error {
	var ids []string
	for _, r := range rules.Catalogue() {
		ids = append(ids, string(r.ID))
	}
	e := &audit.InputError{Problem: fmt.Sprintf(`there is no rule "%s"`, clip(word)), Hint: "mailaudit rules lists them"}
	near := nearest(word, ids)
	if near != "" {
		e.Hint = "did you mean: mailaudit explain " + near
	}
	return e
}

// jsonRule is a rule of the catalogue in JSON.
type jsonRule struct {
	ID         audit.RuleID     `json:"id"`
	Area       audit.Area       `json:"area"`
	Axis       audit.Axis       `json:"axis"`
	Since      string           `json:"since"`
	Severity   audit.Severity   `json:"severity"`
	Severities []audit.Severity `json:"other_severities"`
	Title      string           `json:"title"`
	Why        string           `json:"why"`
	Fix        string           `json:"fix"`
	After      []audit.RuleID   `json:"after"`
	References []string         `json:"references"`
}

// jsonCatalogue is the JSON form of rules.
type jsonCatalogue struct {
	Schema    string     `json:"schema"`
	Catalogue string     `json:"catalogue"`
	Rules     []jsonRule `json:"rules"`
}

func (p *program) rulesCommand() *cli.Command {
	return &cli.Command{
		Name: "rules", Usage: "list the rules, with their severity", ArgsUsage: "[AREA...]",
		Description: `mailaudit rules
mailaudit rules tls smtp
mailaudit rules -f json`,
		Flags: []cli.Flag{formatFlag(), colorFlag()},
		Action: func(c *cli.Context) error {
			err := oneOf("format", c.String("format"), formats()...)
			if err != nil {
				return err
			}
			wanted, err := ruleAreas(c.Args().Slice())
			if err != nil {
				return err
			}
			var list []rules.Rule
			for _, r := range rules.Catalogue() {
				if len(wanted) == 0 || contains(wanted, r.Area()) {
					list = append(list, r)
				}
			}
			if c.String("format") == "json" {
				return p.wrote(rulesJSON(p, list))
			}
			color, err := p.wantsColor(c.String("color"), p.out)
			if err != nil {
				return err
			}
			return p.wrote(report.RuleList(p.out, list, color))
		},
	}
}

// ruleAreas reads the arguments of rules.
func ruleAreas(words []string) ([]audit.Area, error) {
	var out []audit.Area
	for _, word := range words {
		names := append(areaNames(), string(audit.AreaVantage))
		if !slices.Contains(names, word) {
			e := &audit.InputError{Problem: fmt.Sprintf(`there is no area "%s"`, clip(word)), Hint: "areas are: " + strings.Join(names, ", ")}
			near := nearest(word, names)
			if near != "" {
				e.Hint = "did you mean: mailaudit rules " + near
			}
			return nil, e
		}
		out = append(out, audit.Area(word))
	}
	return out, nil
}

func rulesJSON(p *program, list []rules.Rule) error {
	out := jsonCatalogue{Schema: report.Schema, Catalogue: rules.Version, Rules: []jsonRule{}}
	for _, r := range list {
		j := jsonRule{
			ID: r.ID, Area: r.Area(), Axis: r.Axis, Since: r.Since, Severity: r.Severity, Severities: r.Range,
			Title: r.Title, Why: r.Why, Fix: r.Fix, After: r.After, References: []string{},
		}
		for _, ref := range r.Refs {
			j.References = append(j.References, ref.URL())
		}
		out.Rules = append(out.Rules, j)
	}
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func (p *program) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version of the program and of the rule catalogue",
		Description: "mailaudit version",
		Action:      p.version,
	}
}

func (p *program) version(c *cli.Context) error {
	err := atMost(c, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.out, "mailaudit %s, rule catalogue %s\n", version, rules.Version)
	return p.wrote(err)
}
