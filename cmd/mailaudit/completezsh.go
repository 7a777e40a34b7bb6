package main

import (
	"fmt"
	"strings"
)

// zshCompletion writes a function for each command, which calls _arguments
// (zshcompsys, "Utility Functions"), and works as a file in $fpath and when it
// is sourced.
func zshCompletion(tree []completed) string {
	var b strings.Builder
	b.WriteString(zshHead)
	for _, c := range tree {
		fmt.Fprintf(&b, "\n%s() {\n", zshFunction(c.path))
		var specs []string
		for _, f := range c.flags {
			specs = append(specs, zshFlag(f)...)
		}
		if len(c.children) == 0 {
			if c.takes != takesNothing {
				specs = append(specs, shQuote("*:argument:"+zshAction(c.takes, c.words, "argument")))
			}
			writeArguments(&b, "", specs)
			b.WriteString("}\n")
			continue
		}
		specs = append(specs, "'1: :->command'", "'*:: :->rest'")
		b.WriteString("    local state line curcontext=\"$curcontext\"\n")
		writeArguments(&b, " -C", specs)
		b.WriteString("    case $state in\n    command)\n        local -a commands\n        commands=(\n")
		for _, child := range c.children {
			fmt.Fprintf(&b, "            %s\n", shQuote(child.name()+":"+strings.ReplaceAll(child.what, ":", `\:`)))
		}
		b.WriteString("            'help:what a command does'\n        )\n        _describe -t commands 'mailaudit command' commands\n        ;;\n    rest)\n        case $words[1] in\n")
		for _, child := range c.children {
			fmt.Fprintf(&b, "        %s) %s ;;\n", child.name(), zshFunction(child.path))
		}
		b.WriteString("        help) _mailaudit_help ;;\n")
		b.WriteString("        esac\n        ;;\n    esac\n}\n")
	}
	b.WriteString("\n# What stands behind help.\n_mailaudit_help() {\n    case \"${(j: :)words[2,CURRENT-1]}\" in\n")
	for _, c := range tree {
		words := named(c.children)
		if c.path == "" {
			words = append(words, topicNames()...)
		}
		if len(words) > 0 {
			fmt.Fprintf(&b, "    %s) compadd -- %s ;;\n", shQuote(c.path), strings.Join(words, " "))
		}
	}
	b.WriteString("    esac\n}\n" + zshFoot)
	return b.String()
}

// writeArguments calls _arguments, a spec a line.
func writeArguments(b *strings.Builder, options string, specs []string) {
	fmt.Fprintf(b, "    _arguments%s \\\n        %s\n", options, strings.Join(specs, " \\\n        "))
}

// zshFunction is the name of the function of a command.
func zshFunction(path string) string {
	if path == "" {
		return "_mailaudit"
	}
	return "_mailaudit_" + strings.NewReplacer(" ", "_", "-", "_").Replace(path)
}

// zshFlag is the specs of a flag, one for each of its names.
func zshFlag(f completedFlag) []string {
	var out []string
	for _, n := range f.names {
		spec := n
		if f.repeat {
			spec = "*" + n
		} else if len(f.names) > 1 {
			spec = "(" + strings.Join(f.names, " ") + ")" + n
		}
		if f.takes != takesNothing && strings.HasPrefix(n, "--") {
			spec += "="
		}
		spec += "[" + zshText(f.what) + "]"
		if f.takes != takesNothing {
			spec += ":" + zshText(f.value) + ":" + zshAction(f.takes, f.words, f.value)
		}
		out = append(out, shQuote(spec))
	}
	return out
}

// zshText is text inside a spec, where brackets and colons mean something.
func zshText(s string) string {
	return strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(s)
}

// zshAction is how a value is completed.
func zshAction(t takes, words []string, what string) string {
	switch t {
	case takesWord:
		return "(" + strings.Join(words, " ") + ")"
	case takesList:
		return " _values -s , " + what + " " + strings.Join(words, " ")
	case takesFile:
		return "_files"
	case takesOutput:
		return " _mailaudit_output " + strings.Join(words, " ")
	}
	return " " // nothing to propose
}

// shQuote is a word in single quotes, for sh and all that are like it.
func shQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

const zshHead = `#compdef mailaudit
# zsh completion for mailaudit, written by: mailaudit completion zsh

# The name of a file, perhaps with FORMAT= before it.
_mailaudit_output() {
    local -a formats
    formats=("$@")
    if compset -P '*='; then
        _files
    else
        _alternative 'files:file:_files' 'formats:format:compadd -S = -a formats'
    fi
}
`

const zshFoot = `
if [[ $funcstack[1] == _mailaudit ]]; then
    _mailaudit "$@"
else
    compdef _mailaudit mailaudit
fi
`
