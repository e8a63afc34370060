# Prints the Makefile's targets under their group headings ("##@ Group", "target: needs ## text").
BEGIN { FS = ":.*## " }
/^##@ /               { printf "\n\033[1m%s\033[0m\n", substr($0, 5) }
/^[a-z][a-z-]*:.*## / { printf "  \033[36mmake %-7s\033[0m %s\n", $1, $2 }
END                   { print "" }
