package main

import (
	"fmt"
	"strings"
)

// fishCompletion is for fish 3.0 and newer: a line for each flag and each word,
// with the words of the command that must stand at the beginning of the line.
func fishCompletion(tree []completed) string {
	var b strings.Builder
	b.WriteString(fishHead)
	for _, c := range tree {
		fmt.Fprintf(&b, "\n# mailaudit %s\n", c.path)
		inside, at := fishQuote("__mailaudit_inside "+c.path), fishQuote(strings.TrimSpace("__mailaudit_at "+c.path))
		help := fishQuote(strings.TrimSpace("__mailaudit_at help " + c.path))
		for _, child := range c.children {
			fmt.Fprintf(&b, "complete -c mailaudit -n %s -a %s -d %s\n", at, child.name(), fishQuote(child.what))
			fmt.Fprintf(&b, "complete -c mailaudit -n %s -a %s -d %s\n", help, child.name(), fishQuote(child.what))
		}
		if len(c.children) > 0 {
			fmt.Fprintf(&b, "complete -c mailaudit -n %s -a help -d 'what a command does'\n", at)
			// Here stands a command, not a flag that each of them has.
			inside = at
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "complete -c mailaudit -n %s%s -d %s\n", inside, fishFlag(f), fishQuote(f.what))
		}
		switch c.takes {
		case takesWord:
			fmt.Fprintf(&b, "complete -c mailaudit -n %s -a %s\n", inside, fishQuote(strings.Join(c.words, " ")))
		case takesFile:
			fmt.Fprintf(&b, "complete -c mailaudit -n %s -F\n", inside)
		}
	}
	b.WriteString("\n# mailaudit help\n")
	for _, t := range topics() {
		fmt.Fprintf(&b, "complete -c mailaudit -n '__mailaudit_at help' -a %s -d %s\n", t.name, fishQuote(t.what))
	}
	return b.String()
}

// fishFlag is the names of a flag and what it takes, as options of complete.
func fishFlag(f completedFlag) string {
	out := ""
	for _, n := range f.names {
		long, is := strings.CutPrefix(n, "--")
		if is {
			out += " -l " + long
		} else {
			out += " -s " + strings.TrimPrefix(n, "-")
		}
	}
	switch f.takes {
	case takesAny:
		out += " -x"
	case takesWord:
		out += " -x -a " + fishQuote(strings.Join(f.words, " "))
	case takesList:
		out += " -x -a " + fishQuote("(__mailaudit_list "+strings.Join(f.words, " ")+")")
	case takesFile:
		out += " -r -F"
	case takesOutput:
		out += " -r -F -a " + fishQuote("(__mailaudit_output "+strings.Join(f.words, " ")+")")
	}
	return out
}

// fishQuote is a word in single quotes, in which fish knows two escapes.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}

const fishHead = `# fish completion for mailaudit, written by: mailaudit completion fish

# __mailaudit_inside WORDS...: the command line begins with these.
function __mailaudit_inside
    set -l typed (commandline -opc)
    set -e typed[1]
    test (count $typed) -ge (count $argv); or return 1
    for i in (seq (count $argv))
        test "$typed[$i]" = "$argv[$i]"; or return 1
    end
end

# __mailaudit_at WORDS...: it consists of these, so far.
function __mailaudit_at
    set -l typed (commandline -opc)
    test (count $typed) -eq (math (count $argv) + 1); and __mailaudit_inside $argv
end

# __mailaudit_value: what is typed of the value of a flag.
function __mailaudit_value
    commandline -ct | string replace -r -- '^--[a-z-]*=' ''
end

# __mailaudit_list WORDS...: one more of these behind the last comma.
function __mailaudit_list
    set -l before (__mailaudit_value | string match -r -- '.*,')
    for word in $argv
        contains -- $word (string split -- , "$before"); or echo "$before$word"
    end
end

# __mailaudit_output FORMATS...: FORMAT= in front of the name of a file, and the
# files behind it.
function __mailaudit_output
    set -l value (__mailaudit_value)
    set -l parts (string split -m 1 -- = "$value")
    if contains -- "$parts[1]" $argv; and test (count $parts) -eq 2
        for file in (__fish_complete_path "$parts[2]" | string replace -r '\t.*' '')
            echo "$parts[1]=$file"
        end
    else
        printf '%s=\n' $argv
    end
end

complete -c mailaudit -f
`
