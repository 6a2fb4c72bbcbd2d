// SPDX-License-Identifier: Apache-2.0
// Owns what is measured of one store of `millrace bench state`.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/node/benchmark/state_store.hpp"
#include "kernels/bench/statistics.hpp"

namespace millrace::node::state_bench {

/// What rows measure.
namespace measure {
inline constexpr std::string_view check = "check";
inline constexpr std::string_view load = "load";
inline constexpr std::string_view update = "update";
inline constexpr std::string_view skewed = "update-skewed";
inline constexpr std::string_view churn = "churn";
inline constexpr std::string_view mini_block = "mini-block";
inline constexpr std::string_view get = "get";
inline constexpr std::string_view get_absent = "get-absent";
inline constexpr std::string_view proof = "proof-single";
inline constexpr std::string_view proof_random = "proof-random";
inline constexpr std::string_view proof_recent = "proof-recent";
inline constexpr std::string_view proof_computed = "proof-computed";
inline constexpr std::string_view footprint = "footprint";
inline constexpr std::string_view restart = "restart";
inline constexpr std::string_view restart_cold = "restart-cold";
inline constexpr std::string_view rollback = "rollback";
inline constexpr std::string_view shards = "two-shards-on-two-cores";
}  // namespace measure

/// One measure of one store.
struct Row {
    enum class State : uint8_t { measured, skipped, failed };
    std::string store;
    uint64_t keys = 0;
    std::string measure;
    uint64_t batch = 0;  ///< writes of a batch; 0 where there are none
    State state = State::skipped;
    std::string reason;  ///< why it was skipped or failed

    uint64_t items = 0;
    double wall_s = 0;  ///< of all items
    double cpu_s = 0;   ///< of all threads of the process
    /// Of one batch, read, restart or rollback.
    kernel_bench::Summary sample_ms;
    Figures figures;

    std::optional<double> figure(std::string_view name) const;
    double cpu_us_per_item() const;
    double items_per_second() const;
    /// "state/keccak256/keys:5000000/update/batch:10000".
    std::string name() const;
};

struct RunOptions {
    uint64_t keys = 0;
    /// Groups of measure_groups(); the check and the load are always made.
    std::vector<std::string> groups;
    std::vector<uint64_t> batches;
    uint64_t load_batch = 0;
    uint64_t writes = 0;       ///< of each measure of updates and churn, about
    uint64_t mini_blocks = 0;  ///< of 1,000 updates, one each 10 ms
    uint64_t reads = 0;        ///< of each measure of reads
    uint64_t seed = 0;
    std::string directory;  ///< exists and is empty; is empty again at the end
    const std::atomic<bool>* stop = nullptr;
    /// Called with the measure at hand and how much of it is done; may be empty.
    std::function<void(std::string_view measure, uint64_t done, uint64_t total)> progress;
};

/// What can be asked for: update, skewed, churn, mini-block, read, proof, footprint, restart,
/// rollback.
const std::vector<std::string>& measure_groups();

/// How many batches the rollback takes back.
inline constexpr uint64_t rollback_batches = 100;
inline constexpr uint64_t mini_block_writes = 1000;
inline constexpr uint64_t mini_block_period_ms = 10;

/// Compares every answer of a small state with a model, in every situation that is measured
/// afterwards; then measures, comparing 20,000 keys between the measures and all that is read by a
/// measure. A store that is not here gives one row, skipped; a wrong answer or an error gives a
/// failed row, the last one. When `stop` is set the rows end early.
std::vector<Row> run_store(const StoreKind& kind, const RunOptions& options);

/// Bytes of disk that run_store() takes at most, about, whatever the store.
uint64_t disk_bytes_needed(const RunOptions& options) noexcept;

}  // namespace millrace::node::state_bench
