// SPDX-License-Identifier: Apache-2.0
// Owns `millrace db`: care of a data directory while no node has it open.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "host/base/hex.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/database/snapshot.hpp"
#include "host/node/database/verify.hpp"
#include "host/node/genesis.hpp"
#include "host/sequencer/ledger/commitment_kind.hpp"
#include "storage/datadir.hpp"

namespace millrace::node {
namespace {

struct DbOptions {
    std::string datadir;
    std::string genesis;
    bool dev = false;
    std::string state;
    std::string folder;  ///< of a snapshot
};

int exit_code_of(const Error& e) {
    switch (e.code) {
        case ErrorCode::config:
        case ErrorCode::invalid_input: return exit_config;
        case ErrorCode::io:
        case ErrorCode::corrupt:
        case ErrorCode::not_found:
        case ErrorCode::unavailable:
        case ErrorCode::conflict: return exit_database;
        case ErrorCode::limit: return exit_disk;
        default: return exit_unexpected;
    }
}

int give_up(const Error& e) {
    std::fprintf(stderr, "millrace: %s\n", e.message.c_str());
    return exit_code_of(e);
}

void print(const DatabaseReport& report) {
    std::printf("chain %llu, genesis %s, commitment %s\n",
                static_cast<unsigned long long>(report.identity.chain_id),
                to_hex(report.identity.genesis_hash).c_str(), report.identity.commitment.c_str());
    for (const DatabasePart& part : report.parts) {
        std::printf("%s\n", part.name.c_str());
        for (const auto& [name, value] : part.figures) {
            std::printf("  %-36s %s\n", name.c_str(), value.c_str());
        }
    }
    for (const std::string& note : report.notes) { std::printf("note: %s\n", note.c_str()); }
}

/// The genesis that the options name, under the commitment of the directory.
Result<sequencer::Genesis> genesis_of(storage::FileSystem& fs, const DbOptions& o) {
    MILLRACE_TRY(const auto identity, storage::DataDir::look(fs, o.datadir));
    if (!identity) {
        return fail(ErrorCode::not_found,
                    o.datadir + " is no data directory: it has no FORMAT file");
    }
    MILLRACE_TRY(const auto commitment, sequencer::parse_commitment(identity->commitment));
    if (o.dev) { return dev_genesis(commitment); }
    std::vector<std::string> notes;
    return load_genesis(o.genesis, commitment, notes);
}

int verify(const DbOptions& o, bool deep) {
    const auto fs = storage::make_posix_file_system();
    VerifyOptions options;
    options.state_directory = o.state;
    options.deep = deep;
    std::optional<sequencer::Genesis> genesis;
    if (!o.genesis.empty() || o.dev) {
        auto made = genesis_of(*fs, o);
        if (!made) { return give_up(made.error()); }
        genesis = *std::move(made);
        options.genesis = &*genesis;
    }
    const auto report = verify_database(*fs, o.datadir, options);
    if (!report) { return give_up(report.error()); }
    print(*report);
    for (const std::string& damage : report->damages) {
        std::fprintf(stderr, "millrace: damaged: %s\n", damage.c_str());
    }
    if (!report->damages.empty()) { return exit_database; }
    if (deep) { std::printf("no damage was found\n"); }
    return exit_ok;
}

int copy(const Result<SnapshotReport>& report, const char* done, const std::string& where) {
    if (!report) { return give_up(report.error()); }
    std::printf("%s: %llu files, %llu bytes in %s\n", done,
                static_cast<unsigned long long>(report->files),
                static_cast<unsigned long long>(report->bytes), where.c_str());
    return exit_ok;
}

}  // namespace

void add_db_command(CLI::App& app, Run& run) {
    CLI::App* db = app.add_subcommand(
        "db", "Checks, describes and copies a data directory that no node has open");
    db->require_subcommand(1);
    db->footer("All of them take the directory's lock and write nothing to it. A node's directory\n"
               "is checked and copied while the node is stopped; for a copy while it runs use\n"
               "snapshots of the file system, which a start recovers like a crash.\n"
               "Exit codes: 0 whole, 3 wrong arguments, 4 damaged, in use or no data directory,\n"
               "5 disk full.");
    auto o = std::make_shared<DbOptions>();
    const auto add = [&](const char* name, const char* what) {
        CLI::App* command = db->add_subcommand(name, what);
        command->add_option("--datadir", o->datadir, "The data directory")->required();
        return command;
    };
    const auto reads = [&](CLI::App* command) {
        auto* genesis = command->add_option("--genesis", o->genesis,
                                            "Genesis file of the chain: the state before the log, "
                                            "where there is no checkpoint yet");
        command->add_flag("--dev", o->dev, "The same of a development node")->excludes(genesis);
        command->add_option("--state", o->state,
                            "A state engine's folder to look at as well, if not DATADIR/state");
    };
    CLI::App* check = add("verify", "Reads all of it, checks every checksum and link, computes "
                                    "state roots, and names the file of each damage");
    reads(check);
    check->callback([o, &run] { run = [o] { return verify(*o, true); }; });
    CLI::App* stats = add("stats", "What is in it: checks checksums only");
    reads(stats);
    stats->callback([o, &run] { run = [o] { return verify(*o, false); }; });
    CLI::App* snapshot = add("snapshot", "Copies it to a folder, with a list of digests");
    snapshot->add_option("--to", o->folder, "The folder; missing or empty")->required();
    snapshot->callback([o, &run] {
        run = [o] {
            const auto fs = storage::make_posix_file_system();
            return copy(make_snapshot(*fs, o->datadir, o->folder), "snapshot", o->folder);
        };
    });
    CLI::App* restore = add("restore", "Makes a data directory out of a snapshot, checking it; the "
                                       "directory must be missing or empty");
    restore->add_option("--from", o->folder, "The snapshot's folder")->required();
    restore->callback([o, &run] {
        run = [o] {
            const auto fs = storage::make_posix_file_system();
            return copy(restore_snapshot(*fs, o->folder, o->datadir), "restored", o->datadir);
        };
    });
}

}  // namespace millrace::node
