// SPDX-License-Identifier: Apache-2.0
// Owns signing ahead of time and the index of hashes.
#include "host/load/workload.hpp"

#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "host/base/hex.hpp"
#include "host/base/thread.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::load {

namespace {

/// Most bytes of a request: twice the transaction and its envelope.
constexpr uint64_t request_bytes_of(Profile profile) noexcept {
    switch (profile) {
        case Profile::transfer: return 340;
        case Profile::erc20:
        case Profile::hotspot: return 480;
        case Profile::swap:
        case Profile::mixed: return 860;
    }
    return 0;
}

void append_request(std::string& out, SendMode mode, uint32_t id, const Bytes& raw,
                    uint32_t sync_timeout_ms) {
    out += R"({"jsonrpc":"2.0","id":)";
    out += std::to_string(id);
    out += mode == SendMode::sync ? R"(,"method":"eth_sendRawTransactionSync","params":[")"
                                  : R"(,"method":"eth_sendRawTransaction","params":[")";
    out += to_hex(ByteView(raw));
    out += '"';
    if (mode == SendMode::sync && sync_timeout_ms != 0) {
        out += ',' + std::to_string(sync_timeout_ms);
    }
    out += "]}";
}

uint32_t priority_lane_count(const WorkloadOptions& o) noexcept {
    if (o.priority_fraction <= 0 || o.lane_count < 2) { return 0; }
    const double lanes = std::round(o.priority_fraction * o.lane_count);
    return std::clamp<uint32_t>(static_cast<uint32_t>(lanes), 1, o.lane_count - 1);
}

/// Arrivals vary: six deviations more than are expected, so that they do not run out first.
uint64_t priority_count_of(const WorkloadOptions& o) noexcept {
    const double expected = o.priority_fraction * static_cast<double>(o.count);
    return std::min(o.count - 1, static_cast<uint64_t>(expected + 6 * std::sqrt(expected)) + 1);
}

uint64_t prefix_of(const Hash256& hash) noexcept {
    uint64_t prefix = 0;
    std::memcpy(&prefix, hash.data(), sizeof prefix);
    return prefix;
}

}  // namespace

Result<Workload> Workload::sign(const Chain& chain, const WorkloadOptions& options,
                                const std::function<bool(uint64_t)>& progress) {
    const Shape& shape = chain.shape();
    const auto sender_count = static_cast<uint32_t>(chain.senders().size());
    MILLRACE_ASSERT(options.lane_count >= 1 && options.lane_count <= sender_count,
                    "each lane has a sender");
    if (options.count > transactions_max ||
        options.count * request_bytes_of(shape.profile) > workload_bytes_max) {
        return fail(ErrorCode::limit,
                    std::to_string(options.count) + " transactions would take more than " +
                        std::to_string(workload_bytes_max >> 30) +
                        " GiB, as all are signed before the run; ask for fewer or a shorter run");
    }
    Workload out;
    out.lanes_.resize(options.lane_count);
    out.hashes_.resize(options.count);
    out.priority_fraction_ = options.priority_fraction;
    const uint32_t priority_lanes = priority_lane_count(options);
    const uint32_t ordinary_lanes = options.lane_count - priority_lanes;
    const uint64_t priority_count = priority_lanes == 0 ? 0 : priority_count_of(options);
    const uint64_t ordinary_count = options.count - priority_count;
    if (priority_lanes != 0) { out.first_priority_ = static_cast<uint32_t>(ordinary_count); }
    uint64_t first = 0;
    for (uint32_t i = 0; i < options.lane_count; ++i) {
        Lane& lane = out.lanes_[i];
        const uint64_t end =
            i < ordinary_lanes
                ? ordinary_count * (i + 1) / ordinary_lanes
                : ordinary_count + priority_count * (i + 1 - ordinary_lanes) / priority_lanes;
        lane.first = static_cast<uint32_t>(first);
        lane.count = static_cast<uint32_t>(end - first);
        lane.first_sender = static_cast<uint32_t>(uint64_t{sender_count} * i / options.lane_count);
        lane.sender_count =
            static_cast<uint32_t>(uint64_t{sender_count} * (i + 1) / options.lane_count) -
            lane.first_sender;
        first = end;
    }

    std::atomic<uint64_t> signed_count{0};
    std::atomic<uint32_t> next_lane{0};
    std::atomic<bool> stop{false};
    const auto sign_lanes = [&] {
        for (;;) {
            const uint32_t index = next_lane.fetch_add(1, std::memory_order_relaxed);
            if (index >= options.lane_count) { return; }
            Lane& lane = out.lanes_[index];
            lane.text.reserve(lane.count * request_bytes_of(shape.profile));
            lane.ends.reserve(lane.count);
            for (uint32_t k = 0; k < lane.count; ++k) {
                if (stop.load(std::memory_order_relaxed)) { return; }
                const uint32_t number = lane.first + k;
                const uint32_t sender = out.sender(number);
                const uint64_t nth = out.nth_of_sender(number);
                const TransactionSpec spec = spec_of(shape, sender, nth);
                const Account& from = chain.senders()[sender];
                evm::Transaction tx = make_transaction(spec, chain.contracts(), from.address,
                                                       chain.recipients()[spec.recipient]);
                chain.dress(tx, chain.first_nonces()[sender] + nth, out.is_priority(number));
                const Bytes raw = sign_transaction(tx, from.secret_key);
                out.hashes_[number] = kernels::keccak256(raw);
                if (k != 0) { lane.text += ','; }
                append_request(lane.text, options.mode, number, raw, options.sync_timeout_ms);
                lane.ends.push_back(lane.text.size());
                signed_count.fetch_add(1, std::memory_order_relaxed);
            }
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < std::max(1u, options.threads); ++i) {
        threads.emplace_back([&, i] {
            set_thread_name("load-sign-" + std::to_string(i));
            sign_lanes();
        });
    }
    while (!stop && signed_count.load(std::memory_order_relaxed) < options.count) {
        if (!progress(signed_count.load(std::memory_order_relaxed))) { stop = true; }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    for (std::thread& thread : threads) { thread.join(); }
    if (stop) { return fail(ErrorCode::unavailable, "interrupted while signing"); }
    out.index();
    return out;
}

void Workload::index() {
    const uint64_t slots = std::bit_ceil(std::max<uint64_t>(16, uint64_t{2} * hashes_.size()));
    table_.assign(slots, absent);
    table_mask_ = slots - 1;
    for (uint32_t i = 0; i < hashes_.size(); ++i) {
        uint64_t slot = prefix_of(hashes_[i]) & table_mask_;
        while (table_[slot] != absent) { slot = (slot + 1) & table_mask_; }
        table_[slot] = i;
    }
}

uint32_t Workload::find(const Hash256& hash) const noexcept {
    for (uint64_t slot = prefix_of(hash) & table_mask_;; slot = (slot + 1) & table_mask_) {
        const uint32_t number = table_[slot];
        if (number == absent || hashes_[number] == hash) { return number; }
    }
}

std::string_view Workload::requests(uint32_t lane, uint32_t first, uint32_t end) const noexcept {
    const Lane& l = lanes_[lane];
    const size_t begin = first == 0 ? 0 : l.ends[first - 1] + 1;
    return std::string_view(l.text).substr(begin, l.ends[end - 1] - begin);
}

uint32_t Workload::lane_of(uint32_t number) const noexcept {
    const auto behind =
        std::upper_bound(lanes_.begin(), lanes_.end(), number,
                         [](uint32_t n, const Lane& lane) { return n < lane.first; });
    return static_cast<uint32_t>(behind - lanes_.begin()) - 1;
}

uint32_t Workload::sender(uint32_t number) const noexcept {
    const Lane& lane = lanes_[lane_of(number)];
    return lane.first_sender + (number - lane.first) % lane.sender_count;
}

uint64_t Workload::nth_of_sender(uint32_t number) const noexcept {
    const Lane& lane = lanes_[lane_of(number)];
    return (number - lane.first) / lane.sender_count;
}

uint32_t Workload::number_of(uint32_t sender, uint64_t nth) const noexcept {
    for (const Lane& lane : lanes_) {
        if (sender < lane.first_sender || sender >= lane.first_sender + lane.sender_count) {
            continue;
        }
        const uint64_t k = nth * lane.sender_count + (sender - lane.first_sender);
        return k < lane.count ? lane.first + static_cast<uint32_t>(k) : absent;
    }
    return absent;
}

uint64_t Workload::text_bytes() const noexcept {
    uint64_t bytes = 0;
    for (const Lane& lane : lanes_) { bytes += lane.text.size(); }
    return bytes;
}

}  // namespace millrace::load
