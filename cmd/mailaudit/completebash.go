package main

import (
	"fmt"
	"strings"
)

// bashCompletion is for bash 3.2 and newer. bash breaks words at "=" and ":"
// when they are in COMP_WORDBREAKS, and then wants only what stands behind the
// break.
func bashCompletion(tree []completed) string {
	var commands, flags, values, arguments strings.Builder
	for _, c := range tree {
		for _, child := range c.children {
			fmt.Fprintf(&commands, "        %s) path=%s ;;\n", shQuote(c.path+"/"+child.name()), shQuote(child.path))
		}
		var names []string
		for _, f := range c.flags {
			names = append(names, f.names...)
			if f.takes == takesNothing {
				continue
			}
			var patterns []string
			for _, n := range f.names {
				patterns = append(patterns, shQuote(c.path+"/"+n))
			}
			fmt.Fprintf(&values, "        %s) takes=%s; words=%s ;;\n", strings.Join(patterns, "|"), f.takes, shQuote(strings.Join(f.words, " ")))
		}
		fmt.Fprintf(&flags, "        %s) words=%s ;;\n", shQuote(c.path), shQuote(strings.Join(names, " ")))
		words, takes := c.words, c.takes
		if len(c.children) > 0 {
			words, takes = append(named(c.children), "help"), takesWord
		}
		fmt.Fprintf(&arguments, "        %s) takes=%s; words=%s ;;\n", shQuote(c.path), takes, shQuote(strings.Join(words, " ")))
	}
	return strings.NewReplacer(
		"@COMMANDS@", commands.String(), "@FLAGS@", flags.String(), "@VALUES@", values.String(),
		"@ARGUMENTS@", arguments.String(), "@TOPICS@", shQuote(strings.Join(topicNames(), " ")),
	).Replace(bashScript)
}

const bashScript = `# bash completion for mailaudit, written by: mailaudit completion bash

# _mailaudit_enter PATH WORD: the command that WORD leads to; fails when none.
_mailaudit_enter() {
    case "$1/$2" in
@COMMANDS@        *) return 1 ;;
    esac
}

# _mailaudit_value PATH FLAG: what stands behind a flag; fails when nothing does.
_mailaudit_value() {
    case "$1/$2" in
@VALUES@        *) return 1 ;;
    esac
}

_mailaudit_flags() {
    case "$1" in
@FLAGS@    esac
}

_mailaudit_arguments() {
    case "$1" in
@ARGUMENTS@    esac
}

# _mailaudit_propose LEAD VALUE: completes VALUE; LEAD stands before it.
_mailaudit_propose() {
    local lead=$1 value=$2 word before
    case "$takes" in
    list)
        before=${value%"${value##*,}"}
        for word in $words; do
            [[ ",$before" == *",$word,"* || $word != "${value#"$before"}"* ]] || COMPREPLY+=("$lead$before$word")
        done
        compopt -o nospace 2>/dev/null
        ;;
    word)
        for word in $words; do
            [[ $word != "$value"* ]] || COMPREPLY+=("$lead$word")
        done
        ;;
    file | output)
        for word in $words; do
            if [[ $takes == output && $value == "$word="* ]]; then
                lead=$lead$word= value=${value#*=}
                break
            fi
        done
        while IFS= read -r word; do
            COMPREPLY+=("$lead$word")
        done < <(compgen -f -- "$value")
        if [[ $takes == output && ${#COMPREPLY[@]} -eq 0 ]]; then
            for word in $words; do
                [[ $word != "$value"* ]] || COMPREPLY+=("$lead$word=")
            done
            compopt -o nospace 2>/dev/null
        else
            compopt -o filenames 2>/dev/null
        fi
        ;;
    esac
}

_mailaudit() {
    local IFS=$' \t\n'
    local i word glue= cur= raw path= flag= takes= words= help= operands= before=
    local typed
    typed=()
    COMPREPLY=()
    # The words as they were typed: bash breaks them at = and : as well.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ ${#typed[@]} -gt 0 && -n $word && -z ${word//[=:]/} ]]; then
            typed[${#typed[@]}-1]+=$word
            glue=1
        elif [[ -n $glue ]]; then
            typed[${#typed[@]}-1]+=$word
            glue=
        else
            typed+=("$word")
        fi
    done
    [[ ${#typed[@]} -gt 0 ]] || return 0
    cur=${typed[${#typed[@]}-1]}
    raw=${COMP_WORDS[COMP_CWORD]}
    [[ -n ${raw//[=:]/} ]] || raw=
    for ((i = 0; i < ${#typed[@]} - 1; i++)); do
        word=${typed[i]}
        if [[ -n $flag ]]; then
            flag=
        elif [[ -n $operands ]]; then
            :
        elif [[ $word == -- ]]; then
            operands=1
        elif [[ $word == -?* ]]; then
            if [[ $word != *=* ]] && _mailaudit_value "$path" "$word"; then
                flag=$word
            fi
        elif [[ -z $path && $word == help ]]; then
            help=1
        else
            _mailaudit_enter "$path" "$word"
        fi
    done
    takes= words=
    if [[ -n $flag ]]; then
        _mailaudit_value "$path" "$flag"
        _mailaudit_propose "" "$cur"
    elif [[ -z $operands && $cur == -*=* ]]; then
        _mailaudit_value "$path" "${cur%%=*}"
        _mailaudit_propose "${cur%%=*}=" "${cur#*=}"
    elif [[ -z $operands && $cur == -* ]]; then
        _mailaudit_flags "$path"
        takes=word
        _mailaudit_propose "" "$cur"
    else
        _mailaudit_arguments "$path"
        if [[ -n $help && -z $path ]]; then
            words="${words% help} "@TOPICS@
        fi
        _mailaudit_propose "" "$cur"
    fi
    # What stands before a break is not to be repeated.
    before=${cur%"$raw"}
    for ((i = 0; i < ${#COMPREPLY[@]}; i++)); do
        COMPREPLY[i]=${COMPREPLY[i]#"$before"}
    done
}

complete -F _mailaudit mailaudit
`
