// SPDX-License-Identifier: Apache-2.0
// Owns `millrace evm jit`: what the compiler makes of a contract, and the cache of compiled ones.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include <CLI/CLI.hpp>

#include "evm/jit/engine.hpp"
#include "evm/jit/object_cache.hpp"
#include "host/base/hex.hpp"
#include "host/node/commands/commands.hpp"

namespace millrace::node {
namespace {

struct JitCommandArguments {
    std::string code;
    std::string dump;
    std::string fork = "Osaka";
    std::string cache_directory;
    std::string list;
};

int refuse(const std::string& why) {
    std::fprintf(stderr, "millrace: %s\n", why.c_str());
    return exit_usage;
}

/// Hex from the command line, or out of a file.
Result<Bytes> read_code(const std::string& text) {
    std::string hex = text;
    if (!text.starts_with("0x")) {
        std::ifstream in(text);
        if (!in) {
            return fail(ErrorCode::invalid_input,
                        "'" + text +
                            "' is neither code in hex with 0x nor a file that can be read");
        }
        hex.assign(std::istreambuf_iterator<char>(in), {});
        while (!hex.empty() && (hex.back() == '\n' || hex.back() == '\r' || hex.back() == ' ')) {
            hex.pop_back();
        }
    }
    auto code = from_hex(hex);
    if (!code) { return fail(ErrorCode::invalid_input, "code: " + code.error().message); }
    return code;
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

int show(const JitCommandArguments& a) {
    const auto revision = evm::revision_from_text(a.fork);
    if (!revision) { return refuse("unknown fork '" + a.fork + "'; use a name such as Osaka"); }
    const auto code = read_code(a.code);
    if (!code) { return refuse(code.error().message); }
    if (a.dump == "ir" || a.dump == "cfg") {
        const evm::jit::Program program = evm::jit::analyze_contract(*code, *revision);
        print(a.dump == "ir" ? to_text(program) : to_graph(program));
        return exit_ok;
    }
    if (a.dump == "llvm" || a.dump == "asm") {
        evm::jit::CodegenOptions options;
        options.want_llvm = a.dump == "llvm";
        options.want_assembly = a.dump == "asm";
        evm::jit::CodegenText text;
        const auto object =
            compile_object(evm::jit::analyze_contract(*code, *revision), options, &text);
        if (!object) { return refuse(object.error().message); }
        print(options.want_llvm ? text.llvm : text.assembly);
        return exit_ok;
    }
    evm::jit::JitOptions options;
    options.mode = evm::jit::JitMode::eager;
    options.cache_directory = a.cache_directory;
    const auto engine = evm::jit::JitEngine::create(std::move(options));
    if (!engine) { return refuse(engine.error().message); }
    const evm::jit::Program program = evm::jit::analyze_contract(*code, *revision);
    const evm::jit::JitContract c = (*engine)->warm(*code, *revision);
    std::printf("code hash      %s\nbytecode       %zu bytes\nblocks         %zu\n"
                "instructions   %zu\nleft to the interpreter at %zu places by a limit\n",
                to_hex(c.code_hash).c_str(), c.code_bytes, program.blocks.size(),
                program.instruction_count, program.cut_edges);
    if (!c.refused.empty()) {
        std::printf("refused        %s\n", c.refused.c_str());
        return exit_unexpected;
    }
    std::printf("machine code   %zu bytes, %s\nstack frame    %u bytes\n%s %.1f ms\n",
                c.machine_code_bytes, c.optimized ? "optimized" : "quick", c.stack_bytes,
                c.from_cache ? "loaded in     " : "compiled in   ",
                static_cast<double>(c.compile_us) / 1e3);
    return exit_ok;
}

int warm(const JitCommandArguments& a) {
    const auto revision = evm::revision_from_text(a.fork);
    if (!revision) { return refuse("unknown fork '" + a.fork + "'; use a name such as Osaka"); }
    std::ifstream in(a.list);
    if (!in) { return refuse("cannot read " + a.list); }
    evm::jit::JitOptions options;
    options.mode = evm::jit::JitMode::eager;
    options.cache_directory = a.cache_directory;
    const auto engine = evm::jit::JitEngine::create(std::move(options));
    if (!engine) { return refuse(engine.error().message); }
    std::string line;
    size_t line_number = 0;
    size_t refused = 0;
    while (std::getline(in, line)) {
        ++line_number;
        if (line.empty() || line[0] == '#') { continue; }
        const auto code = read_code(line);
        if (!code) {
            return refuse(a.list + ", line " + std::to_string(line_number) + ": " +
                          code.error().message);
        }
        const evm::jit::JitContract c = (*engine)->warm(*code, *revision);
        refused += c.refused.empty() ? 0 : 1;
        std::printf("%s %zu bytes: %s\n", to_hex(c.code_hash).c_str(), c.code_bytes,
                    !c.refused.empty() ? ("refused: " + c.refused).c_str()
                    : c.from_cache     ? "was there"
                                       : "compiled");
    }
    return refused == 0 ? exit_ok : exit_unexpected;
}

int list(const JitCommandArguments& a) {
    const auto cache = evm::jit::ObjectCache::open(a.cache_directory, 0);
    if (!cache) { return refuse(cache.error().message); }
    for (const auto& e : (*cache)->entries()) {
        std::printf("%s %10llu %s\n", e.name.c_str(), static_cast<unsigned long long>(e.bytes),
                    e.forbidden ? ("refused for good: " + e.why).c_str() : "compiled");
    }
    return exit_ok;
}

}  // namespace

void add_evm_jit_command(CLI::App& evm, Run& run) {
    CLI::App* jit = evm.add_subcommand(
        "jit", "Show what the compiler makes of a contract; keep compiled contracts");
    auto a = std::make_shared<JitCommandArguments>();
    CLI::Option* code =
        jit->add_option("code", a->code, "Runtime code in hex with 0x, or a file of it");
    jit->add_option("--dump", a->dump,
                    "Print a stage instead: ir (values and blocks), cfg (Graphviz), llvm, asm")
        ->check(CLI::IsMember({"ir", "cfg", "llvm", "asm"}));
    jit->add_option("--fork", a->fork, "Rules to compile for")->capture_default_str();
    jit->add_option("--cache", a->cache_directory,
                    "Directory of compiled contracts; a node's is `jit` in its data directory");
    CLI::App* warming = jit->add_subcommand(
        "warm", "Compile a list of contracts into a cache before they are used");
    warming
        ->add_option("list", a->list, "File with runtime code in hex, or a file of it, a line each")
        ->required();
    warming->add_option("--fork", a->fork, "Rules to compile for")->capture_default_str();
    warming->add_option("--cache", a->cache_directory, "Directory of compiled contracts")
        ->required();
    CLI::App* listing =
        jit->add_subcommand("list", "Say what a cache holds and what was refused, and why");
    listing->add_option("--cache", a->cache_directory, "Directory of compiled contracts")
        ->required()
        ->check(CLI::ExistingDirectory);
    warming->callback([a, &run] { run = [a] { return warm(*a); }; });
    listing->callback([a, &run] { run = [a] { return list(*a); }; });
    jit->callback([a, jit, code, &run] {
        if (!jit->get_subcommands().empty()) { return; }
        if (code->count() == 0) { throw CLI::RequiredError("code, warm or list"); }
        run = [a] { return show(*a); };
    });
}

}  // namespace millrace::node
