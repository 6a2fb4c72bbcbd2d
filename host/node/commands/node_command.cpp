// SPDX-License-Identifier: Apache-2.0
// Owns `millrace node`: wiring of all parts, start, signals, orderly end.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <random>
#include <thread>

#include <sys/random.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "evm/jit/engine.hpp"
#include "evm/precompiles/registry.hpp"
#include "host/base/hex.hpp"
#include "host/base/log.hpp"
#include "host/base/thread.hpp"
#include "host/node/api/node_api.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/commitment_choice.hpp"
#include "host/node/genesis.hpp"
#include "host/node/settings.hpp"
#include "host/node/temporary_directory.hpp"
#include "host/sequencer/sequencer.hpp"
#include "kernels/offload/engine.hpp"
#include "net/rpc/rpc_server.hpp"

namespace millrace::node {
namespace {

/// Tells main() from any thread that the log cannot be written any more.
constexpr int fatal_signal = SIGUSR1;

/// At the fastest that the log grows the disk loses some hundred MB in that time.
constexpr int64_t disk_guard_period_ms = 500;

int exit_code_of(const Error& e) {
    switch (e.code) {
        case ErrorCode::config:
        case ErrorCode::invalid_input: return exit_config;
        case ErrorCode::io:
        case ErrorCode::corrupt:
        case ErrorCode::unavailable:
        case ErrorCode::conflict: return exit_database;
        case ErrorCode::limit: return exit_disk;
        default: return exit_unexpected;
    }
}

int cannot_start(const Error& e, int code) {
    std::fprintf(stderr, "millrace: %s\n", e.message.c_str());
    return code;
}

std::vector<std::string> split(const std::string& list) {
    std::vector<std::string> out;
    size_t at = 0;
    while (at <= list.size()) {
        const size_t comma = std::min(list.find(',', at), list.size());
        std::string item = list.substr(at, comma - at);
        const size_t first = item.find_first_not_of(' ');
        if (first != std::string::npos) {
            out.push_back(item.substr(first, item.find_last_not_of(' ') - first + 1));
        }
        at = comma + 1;
    }
    return out;
}

void print_banner(const Settings& s, const sequencer::Genesis& genesis, uint16_t port,
                  const kernels::OffloadEngine& offload, const std::string& datadir) {
    const bool six = s.http_address.find(':') != std::string::npos;
    const std::string host = six ? "[" + s.http_address + "]" : s.http_address;
    std::printf("Millrace %s\n\n", MILLRACE_VERSION);
    std::printf("  HTTP      http://%s:%u\n  WebSocket ws://%s:%u\n", host.c_str(), port,
                host.c_str(), port);
    std::printf("  chain id  %llu\n  data      %s\n",
                static_cast<unsigned long long>(genesis.spec.rules.chain_id), datadir.c_str());
    for (const kernels::BackendStatus& b : offload.backends()) {
        std::printf("  kernel    %.*s/%.*s %s%s%s\n", static_cast<int>(b.kernel.size()),
                    b.kernel.data(), static_cast<int>(kernels::to_string(b.backend).size()),
                    kernels::to_string(b.backend).data(),
                    b.available ? b.target.c_str() : "not used", b.reason.empty() ? "" : ": ",
                    b.reason.c_str());
    }
    if (s.dev) {
        std::printf("\n  Accounts, 10,000 ether each. Everybody knows these keys: never send them "
                    "anything of value.\n");
        for (const DevAccount& a : dev_accounts()) {
            std::printf("  %s  key %s\n", to_hex(a.address).c_str(), to_hex(a.secret_key).c_str());
        }
    }
    std::printf("\n");
    std::fflush(stdout);
}

/// That of the data directory, unless it is new.
Result<std::string> choose_commitment_of(storage::FileSystem& fs, const Settings& s,
                                         const std::string& datadir) {
    MILLRACE_TRY(const auto identity, storage::DataDir::look(fs, datadir));
    const auto existing = identity ? std::optional{identity->commitment} : std::nullopt;
    return choose_commitment(s.commitment, s.state_hash, existing, datadir);
}

Result<sequencer::Genesis> make_genesis(const Settings& s, const std::string& commitment,
                                        std::vector<std::string>& notes) {
    MILLRACE_TRY(const sequencer::CommitmentKind kind, sequencer::parse_commitment(commitment));
    return s.dev ? dev_genesis(kind) : load_genesis(s.genesis, kind, notes);
}

int run_node(const Settings& s) {
    MILLRACE_ASSERT(getrandom(&hash_seed, sizeof hash_seed, 0) == sizeof hash_seed,
                    "the system gives random numbers");
    const auto level = log::level_from_text(s.log_level);
    const auto format = log::format_from_text(s.log_format);
    log::configure({*level, *format});

    // Threads inherit the mask, so that signals arrive here and nowhere else.
    sigset_t signals;
    sigemptyset(&signals);
    for (const int sig : {SIGTERM, SIGINT, fatal_signal}) { sigaddset(&signals, sig); }
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);

    if (s.dev && !s.genesis.empty()) {
        return cannot_start(
            {ErrorCode::config, "--dev has a genesis of its own; leave out --genesis or --dev"},
            exit_config);
    }
    if (!s.dev && s.genesis.empty()) {
        return cannot_start({ErrorCode::config,
                             "which chain? Give --genesis FILE, or --dev for a development chain"},
                            exit_config);
    }
    if (!s.dev && s.datadir.empty()) {
        return cannot_start({ErrorCode::config, "--datadir is needed (only --dev works without)"},
                            exit_config);
    }

    TemporaryDirectory temporary;
    std::string datadir = s.datadir;
    if (datadir.empty()) {
        auto made = temporary.create("millrace-dev");
        if (!made) {
            return cannot_start(
                {ErrorCode::io, made.error().message + "; give a data directory with --datadir"},
                exit_unexpected);
        }
        datadir = *made;
    }

    const auto fs = storage::make_posix_file_system();
    const auto chosen = choose_commitment_of(*fs, s, datadir);
    if (!chosen) { return cannot_start(chosen.error(), exit_code_of(chosen.error())); }
    std::vector<std::string> notes;
    const auto made = make_genesis(s, *chosen, notes);
    if (!made) { return cannot_start(made.error(), exit_config); }
    const sequencer::Genesis& genesis = *made;
    for (const std::string& n : notes) { log::warn(n); }

    metrics::Registry registry;
    kernels::OffloadOptions offload_options;
    offload_options.worker_count = s.offload_workers;
    offload_options.cuda = s.cuda == "on"    ? kernels::CudaPolicy::on
                           : s.cuda == "off" ? kernels::CudaPolicy::off
                                             : kernels::CudaPolicy::automatic;
    offload_options.recheck_one_in = s.offload_recheck;
    offload_options.cost_file = s.offload_cost_file;
    offload_options.metrics = &registry;
    auto offload = kernels::OffloadEngine::create(offload_options);
    if (!offload) {
        return cannot_start(offload.error(), offload.error().code == ErrorCode::unavailable
                                                 ? exit_gpu
                                                 : exit_config);
    }

    sequencer::MemoryGuard memory_guard(s.memory_state_mib << 20, registry);
    const evm::PrecompileRegistry precompiles;
    sequencer::LedgerOptions ledger_options;
    ledger_options.memory_guard = &memory_guard;
    ledger_options.path = datadir;
    ledger_options.commitment = *chosen;
    const auto history_blocks = history_blocks_of(s, *chosen);
    if (!history_blocks) { return cannot_start(history_blocks.error(), exit_config); }
    ledger_options.state_history_blocks = *history_blocks;
    ledger_options.past_proof_bytes_max = s.past_proof_mib << 20;
    ledger_options.state_compaction = s.disk_compact == "on";
    ledger_options.state_scrub_bytes_per_s = s.disk_scrub_mib_per_s << 20;
    ledger_options.durable = s.durability == "fsync";
    ledger_options.history_records = s.history_records;
    ledger_options.offload = offload->get();
    auto ledger = sequencer::Ledger::open(*fs, ledger_options, genesis, precompiles, registry);
    if (!ledger) { return cannot_start(ledger.error(), exit_code_of(ledger.error())); }
    const sequencer::RecoveryReport& recovery = (*ledger)->recovery();
    log::info("data directory", {{"path", datadir},
                                 {"created", recovery.created},
                                 {"head", (*ledger)->view().head()->header.number},
                                 {"commitment", ledger_options.commitment},
                                 {"records_replayed", recovery.records_replayed},
                                 {"transactions_reexecuted", recovery.transactions_reexecuted},
                                 {"sealed_open_block", recovery.sealed_open_block},
                                 {"log_writer", recovery.log_writer}});
    if (recovery.torn_bytes != 0) {
        log::warn(
            "the end of the log was not complete and was cleared; nothing in it was acknowledged",
            {{"bytes", recovery.torn_bytes}});
    }
    if (!recovery.warning.empty()) { log::warn("checkpoint", {{"reason", recovery.warning}}); }
    if (!ledger_options.durable) {
        log::warn(
            "durability is async: receipts of the last moments are lost when the machine stops");
    }

    sequencer::SequencerOptions options;
    options.mini_block_us = s.mini_block_ms * 1000;
    constexpr unsigned execution_workers_default_max = 16;
    options.execution_workers =
        s.execution_workers != 0
            ? s.execution_workers
            : std::clamp(std::thread::hardware_concurrency(), 1u, execution_workers_default_max);
    options.block_us = s.block_ms * 1000;
    options.pool.transactions_max = s.pool_transactions_max;
    options.pool.bytes_max = s.pool_bytes_max;
    options.allow_unprotected = s.allow_unprotected || s.dev;
    sequencer::DiskGuard disk_guard(
        *fs, datadir, s.disk_reserve_mib << 20,
        &registry.gauge("millrace_disk_free_bytes", "Room on the data directory's disk"));
    disk_guard.start(disk_guard_period_ms);
    options.disk_guard = &disk_guard;
    options.memory_guard = &memory_guard;
    std::unique_ptr<evm::jit::JitEngine> jit;
    if (s.jit != "off") {
        evm::jit::JitOptions jit_options;
        jit_options.mode = s.jit == "eager" ? evm::jit::JitMode::eager : evm::jit::JitMode::on;
        jit_options.shadow_runs = static_cast<uint32_t>(s.jit_shadow_runs);
        if (s.jit_cache_mib != 0) {
            jit_options.cache_directory = std::filesystem::path(datadir) / "jit";
            jit_options.cache_bytes_max = s.jit_cache_mib << 20;
        }
        jit_options.metrics = &registry;
        if (auto engine = evm::jit::JitEngine::create(std::move(jit_options)); engine) {
            jit = std::move(*engine);
        } else {
            log::warn("contracts run in the interpreter", {{"reason", engine.error().message}});
        }
    }
    options.native_tier = jit.get();
    std::atomic<int> failed_code{exit_ok};
    sequencer::Sequencer sequencer(
        options, genesis, precompiles, **ledger, **offload, registry, [&](const Error& e) {
            // A log that cannot be written any more is the disk's business, whatever the message.
            failed_code.store(e.code == ErrorCode::io ? exit_disk : exit_code_of(e),
                              std::memory_order_release);
            kill(getpid(), fatal_signal);
        });

    NodeApiOptions api_options;
    api_options.client_version =
        "Millrace/v" MILLRACE_VERSION "/linux-x86_64/clang" + std::to_string(__clang_major__);
    api_options.call_gas_cap = s.rpc_gas_cap;
    api_options.dev = s.dev;
    SequencerNode api(api_options, genesis, precompiles, sequencer, (*ledger)->view());

    net::RpcOptions rpc_options;
    rpc_options.address = s.http_address;
    rpc_options.port = s.http_port;
    rpc_options.http_enabled = s.http;
    rpc_options.ws_enabled = s.ws;
    rpc_options.cors_domains = split(s.cors_domains);
    rpc_options.vhosts = split(s.vhosts);
    rpc_options.ws_origins = split(s.ws_origins);
    rpc_options.worker_threads = s.rpc_workers;
    rpc_options.connections_max = s.rpc_connections_max;
    net::RpcServer rpc(rpc_options, api, registry);
    if (auto started = rpc.start(); !started) {
        return cannot_start(started.error(), started.error().code == ErrorCode::unavailable
                                                 ? exit_port
                                                 : exit_config);
    }
    sequencer.start();
    print_banner(s, genesis, rpc.port(), **offload, datadir);

    int signal = 0;
    sigwait(&signals, &signal);
    log::info("stopping", {{"signal", signal == SIGTERM  ? "SIGTERM"
                                      : signal == SIGINT ? "SIGINT"
                                                         : "internal"}});
    sequencer.begin_stop();  // first, so that no request keeps the server waiting
    rpc.stop();
    (*offload)->shutdown();
    for (const kernels::BackendCost& cost : (*offload)->costs()) {
        if (cost.cpu_us_per_item == 0) { continue; }
        log::info("CPU time of a kernel", {{"kernel", cost.kernel},
                                           {"backend", kernels::to_string(cost.backend)},
                                           {"us_per_item", cost.cpu_us_per_item}});
    }
    sequencer.stop();
    log::info("stopped", {{"head", (*ledger)->view().head()->header.number}});
    return failed_code.load(std::memory_order_acquire);
}

}  // namespace

void add_node_command(CLI::App& app, Run& run) {
    CLI::App* node = app.add_subcommand("node", "Run a sequencer");
    auto settings = std::make_shared<Settings>();
    auto table = std::make_shared<SettingTable>(*settings);
    table->add_flags(*node);
    node->callback([settings, table, &run] {
        run = [settings, table] {
            if (auto r = table->resolve(); !r) {
                return cannot_start(r.error(), r.error().code == ErrorCode::invalid_input
                                                   ? exit_usage
                                                   : exit_config);
            }
            return run_node(*settings);
        };
    });
}

void add_config_command(CLI::App& app, Run& run) {
    CLI::App* config = app.add_subcommand("config", "Show the settings that a node would run with");
    config->require_subcommand(1);
    CLI::App* show =
        config->add_subcommand("show", "Print every setting; takes the flags of `millrace node`");
    auto settings = std::make_shared<Settings>();
    auto table = std::make_shared<SettingTable>(*settings);
    auto origin = std::make_shared<bool>(false);
    show->add_flag("--origin", *origin, "Say where each value comes from");
    table->add_flags(*show);
    show->callback([settings, table, origin, &run] {
        run = [settings, table, origin] {
            if (auto r = table->resolve(); !r) {
                return cannot_start(r.error(), r.error().code == ErrorCode::invalid_input
                                                   ? exit_usage
                                                   : exit_config);
            }
            std::fputs(table->show(*origin).c_str(), stdout);
            return static_cast<int>(exit_ok);
        };
    });
}

}  // namespace millrace::node
