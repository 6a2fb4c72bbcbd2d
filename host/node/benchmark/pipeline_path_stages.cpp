// SPDX-License-Identifier: Apache-2.0
// Owns how the stages around execution are checked and timed, each on its own.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "evm/trie/vector_hash_batch.hpp"
#include "host/node/benchmark/cpu_time.hpp"
#include "host/node/benchmark/pipeline_execution.hpp"
#include "host/node/benchmark/pipeline_stages.hpp"
#include "host/node/temporary_directory.hpp"
#include "host/sequencer/admission.hpp"
#include "host/sequencer/executor/block_builder.hpp"
#include "host/sequencer/ledger/ledger.hpp"
#include "host/sequencer/ledger/mini_block_record.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "host/sequencer/pool/pool.hpp"
#include "kernels/bench/clocks.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/offload/engine.hpp"
#include "storage/qmdb/block_commitment.hpp"
#include "storage/wal/wal.hpp"

namespace millrace::node {
namespace {

using sequencer::AdmittedPtr;
using sequencer::AdmittedTransaction;
using sequencer::MiniBlockPtr;

double us_of(int64_t ns) { return static_cast<double>(ns) / 1e3; }

/// What all stages of a profile share.
struct Path {
    std::shared_ptr<const PipelineProfile> profile;
    std::string scratch;
    std::unique_ptr<kernels::OffloadEngine> engine;
    PipelineExecution execution;     ///< one after the other
    std::vector<Bytes> mini_blocks;  ///< encoded records
};
using PathPtr = std::shared_ptr<Path>;

/// Both clocks around a piece of work that ends by itself.
template <class F>
Result<PipelineSample> timed(F work) {
    const int64_t wall = kernel_bench::wall_ns();
    const int64_t cpu = kernel_bench::process_cpu_ns();
    MILLRACE_CHECK(work());
    return PipelineSample{
        us_of(kernel_bench::wall_ns() - wall), us_of(kernel_bench::process_cpu_ns() - cpu), {}};
}

auto wrong(std::string what) { return fail(ErrorCode::corrupt, std::move(what)); }

template <class T>
Result<void> without_value(const Result<T>& r) {
    return r ? Result<void>{} : std::unexpected(r.error());
}

// --- Decode: what ingress does before the signature ---

struct Decoded {
    std::shared_ptr<AdmittedTransaction> tx;
    sequencer::RecoveryJobs jobs;
};

Result<Decoded> decode(const Bytes& raw) {
    Decoded d{std::make_shared<AdmittedTransaction>(), {}};
    MILLRACE_TRY(d.tx->transaction, evm::decode_transaction(raw));
    if (!evm::signature_values_valid(d.tx->transaction)) {
        return fail(ErrorCode::corrupt, "a signature's values are out of range");
    }
    d.tx->raw = raw;
    d.tx->hash = kernels::keccak256(raw);
    d.jobs = sequencer::recovery_jobs(d.tx->transaction);
    return d;
}

Result<std::vector<Decoded>> decode_all(const Path& path) {
    std::vector<Decoded> all;
    all.reserve(path.profile->transactions.size());
    for (const AdmittedPtr& tx : path.profile->transactions) {
        MILLRACE_TRY(Decoded d, decode(tx->raw));
        all.push_back(std::move(d));
    }
    return all;
}

Result<void> check_decode(const Path& path) {
    MILLRACE_TRY(const auto all, decode_all(path));
    for (size_t i = 0; i < all.size(); ++i) {
        if (all[i].tx->hash != path.profile->transactions[i]->hash ||
            evm::encode_transaction(all[i].tx->transaction) != all[i].tx->raw) {
            return wrong("a transaction is not what was encoded");
        }
    }
    return {};
}

// --- Recover: submitted one by one, as transactions arrive ---

Result<void> recover_all(Path& path, std::vector<Decoded>& all) {
    std::atomic<size_t> left{all.size()};
    std::atomic<bool> failed{false};
    // Of the queue's 65,536 places, so that nothing is refused.
    constexpr size_t under_way_max = 16'384;
    for (size_t i = 0; i < all.size(); ++i) {
        while (left.load(std::memory_order_relaxed) + i > all.size() + under_way_max) {
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
        Decoded& d = all[i];
        const auto submitted = path.engine->submit_recover(
            d.jobs.jobs, [&d, &left, &failed](const std::vector<std::optional<Address>>& found) {
                if (!sequencer::take_recovered(*d.tx, d.jobs, found)) {
                    failed.store(true, std::memory_order_relaxed);
                }
                // Release: the sender is there for whoever sees that nothing is left. The last
                // touch of what the caller owns but the notice.
                if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) { left.notify_one(); }
            });
        if (!submitted) { return submitted; }
    }
    for (size_t n = left.load(std::memory_order_acquire); n != 0;
         n = left.load(std::memory_order_acquire)) {
        left.wait(n, std::memory_order_acquire);
    }
    return failed.load(std::memory_order_relaxed) ? wrong("a signature is invalid")
                                                  : Result<void>{};
}

Result<void> check_recover(Path& path) {
    MILLRACE_TRY(auto all, decode_all(path));
    MILLRACE_CHECK(recover_all(path, all));
    for (size_t i = 0; i < all.size(); ++i) {
        if (all[i].tx->sender != path.profile->transactions[i]->sender) {
            return wrong("another sender was recovered");
        }
    }
    return {};
}

Result<PipelineSample> run_recover(Path& path) {
    MILLRACE_TRY(auto all, decode_all(path));
    MILLRACE_TRY(PipelineSample sample, timed([&] { return recover_all(path, all); }));
    sample.figures = {{"threads", static_cast<double>(path.engine->worker_count())}};
    return sample;
}

// --- Pool: in, and out again in the order in which it gives them ---

Result<PipelineSample> run_pool(const Path& path) {
    const auto& transactions = path.profile->transactions;
    sequencer::PoolLimits limits;
    limits.transactions_max = std::max(limits.transactions_max, transactions.size());
    sequencer::PoolIndex index;
    sequencer::Pool pool{limits, index};
    pool.begin_block(*path.profile->genesis.header.base_fee_per_gas);
    double add_us = 0;
    double take_us = 0;
    auto sample = timed([&]() -> Result<void> {
        const int64_t start = thread_cpu_ns();
        for (const AdmittedPtr& tx : transactions) {
            if (!pool.add(tx, 0)) { return wrong("the pool refuses a transaction"); }
        }
        const int64_t added = thread_cpu_ns();
        size_t taken = 0;
        while (const AdmittedPtr tx = pool.next(path.profile->genesis.block_gas_limit)) {
            pool.under_way(*tx);
            pool.executed(*tx);
            index.remove(tx->hash);
            ++taken;
        }
        add_us = us_of(added - start);
        take_us = us_of(thread_cpu_ns() - added);
        return taken == transactions.size() ? Result<void>{}
                                            : wrong("the pool keeps transactions to itself");
    });
    const double n = static_cast<double>(transactions.size());
    if (sample) { sample->figures = {{"add_us", add_us / n}, {"take_us", take_us / n}}; }
    return sample;
}

// --- Seal: the record of a mini-block, as the ledger makes it ---

Result<std::vector<Bytes>> seal_all(const Path& path) {
    std::vector<Bytes> out;
    sequencer::MiniBlockRecorder recorder;
    sequencer::MiniBlockRecorder::Place place{path.profile->genesis.spec.rules.chain_id, 1, {}};
    for (const auto& [m, accesses] : path.execution.mini_blocks) {
        MILLRACE_TRY(const auto recorded, recorder.record(place, *m, *accesses));
        place.parent = recorded.digest;
        out.emplace_back(recorded.payload.begin(), recorded.payload.end());
    }
    return out;
}

Result<void> check_seal(Path& path) {
    for (const Bytes& encoded : path.mini_blocks) {
        MILLRACE_TRY(const storage::Record record,
                     storage::decode_record(storage::RecordKind::mini_block, encoded));
        Bytes again;
        storage::encode_record(record, again);
        if (again != encoded) { return wrong("a mini-block's record does not decode to itself"); }
    }
    return {};
}

// --- Log: written and flushed, mini-block by mini-block ---

Result<PipelineSample> run_log(const Path& path, storage::FlushMode mode) {
    TemporaryDirectory directory;
    MILLRACE_TRY(const std::string at, directory.create("log", path.scratch));
    const auto fs = storage::make_posix_file_system();
    storage::WalOptions options;
    options.chain_id = path.profile->genesis.spec.rules.chain_id;
    options.segment_bytes = pipeline_segment_bytes(path.profile->transactions.size());
    options.record_bytes_max = options.segment_bytes / 2;
    MILLRACE_TRY(const auto wal, storage::Wal::open(*fs, at, options, storage::make_log_writer()));
    size_t bytes = 0;
    auto sample = timed([&]() -> Result<void> {
        for (const Bytes& encoded : path.mini_blocks) {
            auto appended = wal->append(1, storage::RecordKind::mini_block, encoded);
            if (!appended) { return std::unexpected(appended.error()); }
            auto flushed = wal->flush(mode);
            if (!flushed) { return std::unexpected(flushed.error()); }
            bytes += encoded.size();
        }
        return {};
    });
    if (!sample) { return sample; }
    size_t replayed = 0;
    MILLRACE_CHECK(wal->replay(1, [&](const storage::RecordInfo&, ByteView payload) {
        const bool same = replayed < path.mini_blocks.size() &&
                          std::ranges::equal(payload, path.mini_blocks[replayed]);
        ++replayed;
        return same ? Result<void>{} : wrong("the log gives back something else");
    }));
    if (replayed != path.mini_blocks.size()) { return wrong("the log has lost a mini-block"); }
    sample->figures = {{"flushes", static_cast<double>(path.mini_blocks.size())},
                       {"bytes", static_cast<double>(bytes) /
                                     static_cast<double>(path.profile->transactions.size())}};
    return sample;
}

// --- State: what readers see ---

Result<PipelineSample> run_state(const Path& path) {
    const auto store = storage::make_memory_state_store();
    MILLRACE_CHECK(store->apply(1, path.profile->genesis.state));
    MILLRACE_CHECK(store->apply(2, path.execution.opening));
    auto sample = timed([&]() -> Result<void> {
        uint64_t version = 2;
        for (const auto& [m, accesses] : path.execution.mini_blocks) {
            MILLRACE_CHECK(store->apply(++version, m->post_values));
        }
        return {};
    });
    return sample;
}

// --- Root: the commitment, and the tries of the header ---

/// The block's changes, fed one by one as the ledger does, or all at once.
Result<PipelineSample> timed_root(const Path& path, storage::BlockCommitment& commitment,
                                  const storage::StateSnapshot& before, bool at_once, Hash256& root,
                                  double& feed_us) {
    return timed([&]() -> Result<void> {
        const int64_t start = kernel_bench::wall_ns();
        storage::StateDelta all;
        const auto feed = [&](const storage::StateDelta& delta) -> Result<void> {
            if (!at_once) { return commitment.apply(delta); }
            all = storage::merge(all, delta);
            return {};
        };
        for (const auto& [m, accesses] : path.execution.mini_blocks) {
            MILLRACE_CHECK(feed(m->post_values));
        }
        MILLRACE_CHECK(feed(path.execution.closed.post_values));
        if (at_once) { MILLRACE_CHECK(commitment.apply(all)); }
        feed_us = us_of(kernel_bench::wall_ns() - start);
        MILLRACE_TRY(root, commitment.close(1, before));
        return {};
    });
}

PipelineSample with_figures(const Path& path, PipelineSample sample, double feed_us,
                            double commit_us) {
    const auto count = static_cast<double>(path.profile->transactions.size());
    sample.figures = {{"feed_us", feed_us / count}, {"commit_us", commit_us / count}};
    return sample;
}

/// By the state engine, on the disk; the commit of the block is not in the time.
Result<PipelineSample> run_root(const Path& path, bool at_once, Hash256* root_out) {
    TemporaryDirectory directory;
    MILLRACE_TRY(const std::string at, directory.create("root", path.scratch));
    const auto fs = storage::make_posix_file_system();
    MILLRACE_TRY(const auto commitment, storage::qmdb::open_block_commitment(
                                            *fs, at + "/state", {}, storage::make_log_writer()));
    const auto state = storage::make_memory_state_store();
    MILLRACE_CHECK(commitment->apply(path.profile->genesis.state));
    MILLRACE_TRY(const Hash256 genesis_root, commitment->close(0, *state->snapshot()));
    if (genesis_root != path.profile->genesis.header.state_root) {
        return wrong("the genesis has another root");
    }
    MILLRACE_CHECK(commitment->commit());
    MILLRACE_CHECK(state->apply(1, path.profile->genesis.state));
    MILLRACE_CHECK(commitment->apply(path.execution.opening));
    Hash256 root;
    double feed_us = 0;
    auto sample = timed_root(path, *commitment, *state->snapshot(), at_once, root, feed_us);
    if (!sample) { return sample; }
    const int64_t start = kernel_bench::wall_ns();
    MILLRACE_CHECK(commitment->commit());
    const double commit_us = us_of(kernel_bench::wall_ns() - start);
    if (root_out != nullptr) { *root_out = root; }
    return with_figures(path, std::move(*sample), feed_us, commit_us);
}

Result<void> check_root(const Path& path) {
    Hash256 one_by_one;
    Hash256 at_once;
    MILLRACE_CHECK(without_value(run_root(path, false, &one_by_one)));
    MILLRACE_CHECK(without_value(run_root(path, true, &at_once)));
    return one_by_one == at_once ? Result<void>{} : wrong("the root depends on the cuts");
}

/// By Ethereum's tries, in memory.
Result<PipelineSample> run_root_mpt(const Path& path, Hash256* root_out) {
    const auto commitment =
        storage::make_volatile_commitment(sequencer::make_mpt_commitment(path.engine.get()));
    const auto state = storage::make_memory_state_store();
    MILLRACE_CHECK(commitment->apply(path.profile->genesis.state));
    MILLRACE_CHECK(commitment->apply(path.execution.opening));
    MILLRACE_CHECK(without_value(commitment->close(0, *state->snapshot())));
    Hash256 root;
    double feed_us = 0;
    auto sample = timed_root(path, *commitment, *state->snapshot(), false, root, feed_us);
    if (!sample) { return sample; }
    if (root_out != nullptr) { *root_out = root; }
    return with_figures(path, std::move(*sample), feed_us, 0);
}

Result<void> check_root_mpt(const Path& path) {
    Hash256 root;
    MILLRACE_CHECK(without_value(run_root_mpt(path, &root)));
    MILLRACE_TRY(const auto after, state_after(pipeline_block_of(*path.profile), path.execution));
    const auto anew = sequencer::make_mpt_commitment();
    storage::load_commitment(*anew, *after->snapshot());
    return anew->root() == root ? Result<void>{} : wrong("the root differs from that made anew");
}

Result<PipelineSample> run_header(const Path& path) {
    evm::BlockHeader header;
    auto sample = timed([&]() -> Result<void> {
        storage::StoredBlock stored;
        const auto receipts =
            sequencer::store_transactions(path.execution.closed.transactions, stored);
        header =
            sequencer::make_header(path.execution.closed, {}, receipts, evm::vector_hash_batch());
        return {};
    });
    if (header.gas_used != path.execution.closed.gas_used) {
        return wrong("the header has other gas");
    }
    return sample;
}

// --- Commit: all that the ledger does of these, in its order, and the chain data ---

Result<PipelineSample> run_commit(const Path& path) {
    TemporaryDirectory directory;
    MILLRACE_TRY(const std::string at, directory.create("ledger", path.scratch));
    const auto fs = storage::make_posix_file_system();
    metrics::Registry registry;
    sequencer::LedgerOptions options;
    options.path = at + "/data";
    options.checkpoint_every_records = 0;
    options.wal_segment_bytes = pipeline_segment_bytes(path.profile->transactions.size());
    options.wal_record_bytes_max = options.wal_segment_bytes / 2;
    options.offload = path.engine.get();
    MILLRACE_TRY(const auto ledger, sequencer::Ledger::open(*fs, options, path.profile->genesis,
                                                            pipeline_precompiles(), registry));
    double seal_us = 0;
    auto sample = timed([&]() -> Result<void> {
        MILLRACE_CHECK(ledger->append_open(path.execution.closed.open, path.execution.opening));
        for (const auto& [m, accesses] : path.execution.mini_blocks) {
            MILLRACE_CHECK(ledger->append_mini_block(m, *accesses));
            MILLRACE_CHECK(ledger->flush());
        }
        const int64_t start = kernel_bench::wall_ns();
        MILLRACE_CHECK(ledger->seal(path.execution.closed));
        seal_us = us_of(kernel_bench::wall_ns() - start);
        return {};
    });
    if (sample) {
        sample->figures = {
            {"seal_us", seal_us / static_cast<double>(path.profile->transactions.size())}};
    }
    return sample;
}

}  // namespace

Result<std::vector<PipelineStage>> path_stages(std::shared_ptr<const PipelineProfile> profile,
                                               const std::string& scratch) {
    const auto path = std::make_shared<Path>();
    path->profile = profile;
    path->scratch = scratch;
    kernels::OffloadOptions offload;
    MILLRACE_TRY(path->engine, kernels::OffloadEngine::create(offload));
    path->execution = execute_block(pipeline_block_of(*profile), pipeline_precompiles(), 0);
    MILLRACE_TRY(path->mini_blocks, seal_all(*path));

    std::vector<PipelineStage> stages;
    const auto add = [&](std::string name, std::function<Result<void>()> check,
                         std::function<Result<PipelineSample>()> run) {
        stages.push_back(
            {std::move(name), 0, profile->transactions.size(), std::move(check), std::move(run)});
    };
    /// For those whose every run is checked.
    const auto add_checked = [&](std::string name, std::function<Result<PipelineSample>()> run) {
        add(std::move(name), [run] { return without_value(run()); }, run);
    };
    add(
        "decode", [path] { return check_decode(*path); },
        [path] { return timed([&] { return without_value(decode_all(*path)); }); });
    add("recover", [path] { return check_recover(*path); }, [path] { return run_recover(*path); });
    add_checked("pool", [path] { return run_pool(*path); });
    add(
        "seal", [path] { return check_seal(*path); },
        [path] {
            return timed([&]() -> Result<void> {
                MILLRACE_TRY(const auto records, seal_all(*path));
                return records == path->mini_blocks ? Result<void>{} : wrong("a record differs");
            });
        });
    add_checked("log_durable", [path] { return run_log(*path, storage::FlushMode::durable); });
    add_checked("log_written", [path] { return run_log(*path, storage::FlushMode::written); });
    add_checked("state", [path] { return run_state(*path); });
    add(
        "root", [path] { return check_root(*path); },
        [path] { return run_root(*path, false, nullptr); });
    add(
        "root_mpt", [path] { return check_root_mpt(*path); },
        [path] { return run_root_mpt(*path, nullptr); });
    add_checked("header", [path] { return run_header(*path); });
    add_checked("commit", [path] { return run_commit(*path); });
    return stages;
}

}  // namespace millrace::node
