// SPDX-License-Identifier: Apache-2.0
// Owns `millrace completions`: shell completion scripts made from the command line's own
// definition.
#include <cstdio>
#include <map>
#include <memory>

#include <CLI/CLI.hpp>

#include "host/node/commands/commands.hpp"

namespace millrace::node {
namespace {

/// Words that may follow each command path ("millrace", "millrace node", ..).
void collect(const CLI::App& app, const std::string& path,
             std::map<std::string, std::string>& words) {
    std::string& w = words[path];
    for (const CLI::Option* o : app.get_options()) {
        for (const std::string& name : o->get_lnames()) { w += (w.empty() ? "--" : " --") + name; }
    }
    for (const CLI::App* sub : app.get_subcommands({})) {
        w += (w.empty() ? "" : " ") + sub->get_name();
        collect(*sub, path + " " + sub->get_name(), words);
    }
}

std::string bash(const std::map<std::string, std::string>& words) {
    std::string out = "_millrace() {\n    local path=millrace word i\n    for ((i = 1; i < "
                      "COMP_CWORD; i++)); do\n"
                      "        word=${COMP_WORDS[i]}\n        case \"$path $word\" in\n";
    for (const auto& [path, unused] : words) {
        if (path != "millrace") {
            out += "            \"" + path + "\") path=\"" + path + "\" ;;\n";
        }
    }
    out += "        esac\n    done\n    local list=\n    case \"$path\" in\n";
    for (const auto& [path, list] : words) {
        out += "        \"" + path + "\") list=\"" + list + "\" ;;\n";
    }
    out += "    esac\n    COMPREPLY=($(compgen -W \"$list\" -- "
           "\"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _millrace millrace\n";
    return out;
}

std::string zsh(const std::map<std::string, std::string>& words) {
    return "#compdef millrace\nautoload -U +X bashcompinit && bashcompinit\n" + bash(words);
}

std::string fish(const std::map<std::string, std::string>& words) {
    std::string out;
    for (const auto& [path, list] : words) {
        std::string condition;
        if (path == "millrace") {
            condition = "__fish_use_subcommand";
        } else {
            condition = "__fish_seen_subcommand_from " + path.substr(path.rfind(' ') + 1);
        }
        size_t at = 0;
        while (at < list.size()) {
            const size_t end = std::min(list.find(' ', at), list.size());
            const std::string word = list.substr(at, end - at);
            out += "complete -c millrace -n '" + condition + "' " +
                   (word.starts_with("--") ? "-l " + word.substr(2) : "-a " + word) + "\n";
            at = end + 1;
        }
    }
    return out;
}

}  // namespace

void add_completions_command(CLI::App& app, Run& run) {
    CLI::App* completions =
        app.add_subcommand("completions", "Print a completion script for a shell");
    auto shell = std::make_shared<std::string>();
    completions->add_option("shell", *shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    completions->callback([&app, shell, &run] {
        run = [&app, shell] {
            std::map<std::string, std::string> words;
            collect(app, "millrace", words);
            const std::string text = *shell == "bash"  ? bash(words)
                                     : *shell == "zsh" ? zsh(words)
                                                       : fish(words);
            std::fputs(text.c_str(), stdout);
            return static_cast<int>(exit_ok);
        };
    });
}

}  // namespace millrace::node
