// SPDX-License-Identifier: Apache-2.0
// Owns `millrace load`: its options, its help and the signals that end it early.
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>

#include <CLI/CLI.hpp>

#include "host/base/hex.hpp"
#include "host/load/load.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/genesis.hpp"

namespace millrace::node {
namespace {

/// Set by SIGINT and SIGTERM while a run lasts.
std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may write it");

void ask_to_stop(int /*signal*/) { stop_asked.store(true, std::memory_order_relaxed); }

int say(const std::string& message, int code) {
    std::fprintf(stderr, "millrace: %s\n", message.c_str());
    return code;
}

int cannot_write(const std::string& path) {
    return say("cannot write " + path + ": " + std::strerror(errno), exit_unexpected);
}

int run(load::LoadOptions options, const std::string& key) {
    options.funding_key = dev_accounts().front().secret_key;
    if (!key.empty()) {
        const auto parsed = hash_from_hex(key);
        if (!parsed) { return say("--key is not 32 bytes in hex", exit_usage); }
        options.funding_key = *parsed;
    }
    if (auto checked = load::check_options(options); !checked) {
        return say(checked.error().message, exit_usage);
    }
    std::FILE* json = nullptr;
    if (!options.json.empty()) {
        // Known before the run, not after it.
        json = std::fopen(options.json.c_str(), "wb");
        if (json == nullptr) { return cannot_write(options.json); }
    }
    struct sigaction action{};
    action.sa_handler = ask_to_stop;
    // The second signal ends the program at once.
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    const auto result = load::run_load(options, stop_asked, stderr);
    if (!result) {
        if (json != nullptr) { std::fclose(json); }
        return say(result.error().message, exit_unexpected);
    }
    std::fputs(load::report_text(*result).c_str(), stdout);
    if (json != nullptr) {
        const std::string text = load::report_json(*result);
        const bool written = std::fwrite(text.data(), 1, text.size(), json) == text.size();
        if (std::fclose(json) != 0 || !written) { return cannot_write(options.json); }
    }
    if (result->interrupted) { return exit_interrupted; }
    return load::succeeded(*result) ? exit_ok : exit_unexpected;
}

}  // namespace

void add_load_command(CLI::App& app, Run& chosen) {
    CLI::App* command = app.add_subcommand(
        "load", "Send signed transactions to a node, measure, and check what came of them");
    auto o = std::make_shared<load::LoadOptions>();
    auto key = std::make_shared<std::string>();
    const auto add = [command](const char* name, auto& target, const char* help) {
        return command->add_option(name, target, help)->capture_default_str();
    };
    add("url", o->url, "Endpoint: http://HOST:PORT or ws://HOST:PORT");
    command->add_flag("--allow-remote", o->allow_remote,
                      "Also to another machine's node, whose owner agrees");
    command->add_option("--key", *key,
                        "Secret key of the account that pays, in hex [the first development "
                        "account's]");
    add("--profile", o->profile,
        "transfer: ETH; erc20: a token; swap: Uniswap V2; hotspot: all credit one token balance; "
        "mixed: 60 % transfer, 25 % erc20, 15 % swap");
    add("--send", o->send,
        "raw: a request each; batch: many in a JSON-RPC batch; sync: "
        "eth_sendRawTransactionSync, a request each");
    add("--rate", o->rate, "Transactions a second of an open loop; 0: closed loop");
    add("--arrivals", o->arrivals, "Of an open loop: poisson or fixed");
    add("--seconds", o->seconds, "How long to send, 0.1 to 3600");
    add("--count", o->count,
        "Transactions signed ahead, at most 8000000; 0: what an open loop needs, 200000 for a "
        "closed one");
    add("--connections", o->connections, "Connections, each for accounts of its own");
    add("--pipeline", o->pipeline,
        "Requests under way on a connection, above 1 over ws:// only; 0: one, and in the overload "
        "up "
        "to 64, with at most 48 nonces of an account");
    add("--batch", o->batch, "Most transactions of a batch, 1 to 1000");
    add("--in-flight", o->in_flight,
        "Closed loop: most transactions sent and not yet included; 0: no limit");
    add("--accounts", o->accounts, "Accounts that send, in turns");
    add("--recipients", o->recipients, "Accounts that receive");
    add("--pairs", o->pairs, "Pairs of tokens that are swapped");
    add("--priority-fraction", o->priority_fraction,
        "Share of transactions with a tip of 10 instead of 1 gwei, from accounts and connections "
        "of "
        "their own, measured by themselves");
    add("--overload", o->overload,
        "Measure a closed loop first, then offer this many times its rate, both over WebSocket; 0: "
        "do not");
    add("--track", o->track,
        "How to learn of inclusion: auto, mini-blocks, heads, polling or none; auto takes the "
        "first that the node has, and none with --send sync");
    add("--poll-ms", o->poll_ms, "Pause between polls");
    add("--drain", o->drain_s,
        "Seconds without progress, after the last send, until what is missing counts as lost");
    add("--sync-timeout-ms", o->sync_timeout_ms,
        "What a sync send asks the node to wait at most; 0: the node's default");
    add("--max-fee", o->max_fee_gwei,
        "Most gwei to pay for gas; 0: eight times the base fee at the start, at least 2, and tip");
    add("--seed", o->seed, "Seed of accounts, arrivals and what is mixed");
    add("--sign-threads", o->sign_threads,
        "Threads that sign before the run; 0: one for each core");
    add("--artifacts", o->artifacts,
        "Folder with the npm packages @uniswap/v2-core and @uniswap/v2-periphery, or their JSON "
        "files");
    add("--pid", o->pid,
        "Process of the node on this machine: its CPU time and memory are reported");
    command
        ->add_option("--context", o->context,
                     "KEY=VALUE to record with the environment; may be repeated")
        ->allow_extra_args(false);
    command->add_option("--json", o->json, "Also write the result to this file as JSON");
    command->footer(
        "Latencies count from the intended time of sending. Afterwards nonces, balances and "
        "receipts\n"
        "on the chain are compared with what was counted. The accounts' keys come from the seed "
        "and\n"
        "are no secret: use test chains only.\n"
        "Exit codes: 0 all included and right, 1 something was not, or an error, 2 usage, 130\n"
        "interrupted: what was measured until then is written. See host/load/README.md.");
    command->callback([o, key, &chosen] { chosen = [o, key] { return run(*o, *key); }; });
}

}  // namespace millrace::node
