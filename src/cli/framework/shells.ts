/**
 * The shells' side of completion. Each script calls `berth __complete SHELL WORDS...`, which prints one candidate
 * a line ("value<TAB>what it is") and, last, ":files" or ":none".
 */

export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

const bash = `# bash completion for berth; "berth completion bash" prints it.
_berth() {
  local -a words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  local current=\${COMP_WORDS[COMP_CWORD]} line
  local -a values=()
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :none) ;;
      :files) compopt -o default 2>/dev/null ;;
      *) values+=("\${line%%$'\\t'*}") ;;
    esac
  done < <(berth __complete bash "\${words[@]}" 2>/dev/null)
  local value
  for value in "\${values[@]}"; do COMPREPLY+=("$(printf '%q' "$value")"); done
  [[ \${#COMPREPLY[@]} -eq 1 && \${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _berth berth
`;

const zsh = `#compdef berth
# zsh completion for berth; "berth completion zsh" prints it.
_berth() {
  local line value what tab=$'\\t' files=0
  local -a candidates
  for line in "\${(@f)$(berth __complete zsh "\${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    case $line in
      :none) ;;
      :files) files=1 ;;
      *)
        value=\${\${line%%$tab*}//:/\\\\:} what=\${line#*$tab}
        candidates+=("$value\${what:+:$what}")
        ;;
    esac
  done
  (( \${#candidates} )) && _describe -t berth berth candidates
  (( files )) && _files
  return 0
}
if [ "$funcstack[1]" = "_berth" ]; then _berth "$@"; else compdef _berth berth; fi
`;

const fish = `# fish completion for berth; "berth completion fish" prints it.
function __berth_complete
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1]
    for line in (berth __complete fish $words 2>/dev/null)
        switch $line
            case :none
            case :files
                __fish_complete_path (commandline -ct)
            case '*'
                echo $line
        end
    end
end
complete -c berth -f -a '(__berth_complete)'
`;

const scripts: Record<Shell, string> = { bash, zsh, fish };

/** The script that a shell sources. */
export function completionScript(shell: Shell): string {
  return scripts[shell];
}

/** bash breaks words at "=" (COMP_WORDBREAKS): "--memory" "=" "5" becomes "--memory=5" again. */
export function joinBroken(words: readonly string[]): readonly string[] {
  const joined: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    const option = joined.at(-1);
    if (word === "=" && option?.startsWith("--") && !option.includes("=")) {
      joined[joined.length - 1] = `${option}=${words[at + 1] ?? ""}`;
      at += 1;
    } else joined.push(word);
  }
  return joined;
}
