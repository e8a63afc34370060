# Prints the Makefile's targets under their group headings ("##@ Group", "target: needs ## text"); -v colour=1 for a terminal.
BEGIN                { FS = ":.*## "; if (colour) { bold = "\033[1m"; cyan = "\033[36m"; plain = "\033[0m" } }
/^##@ /              { printf "\n%s%s%s\n", bold, substr($0, 5), plain }
/^[a-z][a-z-]*:.*## / { printf "  %smake %-7s%s %s\n", cyan, $1, plain, $2 }
END                  { print "" }
