// SPDX-License-Identifier: Apache-2.0
// Owns the checks that a batch of the device has to pass before its results are used.
#include <algorithm>
#include <cstring>

#include "kernels/keccak/keccak.hpp"
#include "kernels/offload/detail/canary.hpp"
#include "kernels/offload/detail/device_lane.hpp"

namespace millrace::kernels::detail {

namespace {

std::string of_batch(size_t item, size_t items) {
    return std::to_string(item) + " of a batch of " + std::to_string(items);
}

}  // namespace

void DeviceLane::check(uint32_t slot, std::vector<Part>& parts) {
    const int64_t start_cpu_us = thread_cpu_us();
    Batch& batch = batches_[slot];
    Finding finding;
    if (batch.kernel == Kernel::secp256k1) {
        finding = check_recover(slot, batch);
    } else {
        finding = check_keccak(slot, batch);
    }
    if (!finding.what.empty()) { quarantine(finding.fault, finding.what); }
    parts.clear();
    // A batch that looks right is worth nothing once the device has failed another.
    if (!up()) {
        {
            const std::lock_guard lock(reason_mutex_);
            figures_.count_fall_back(batch.kernel, fault_);
        }
        dispatch_.give_back(batch.parts);
    } else {
        batch.kernel == Kernel::secp256k1 ? write_senders(batch) : write_digests(batch);
        const size_t canaries =
            batch.kernel == Kernel::secp256k1 ? recover_canaries : keccak_canaries;
        figures_.device(batch.kernel)
            .record(batch.item_count - canaries, clock_.steady_us() - batch.launched_us,
                    thread_cpu_us() - start_cpu_us);
        std::swap(parts, batch.parts);
    }
    // Release: the slot is filled again only after all reads of the batch.
    batch.state.store(State::free, std::memory_order_release);
    dispatch_.device_work.notify();
}

DeviceLane::Finding DeviceLane::check_recover(uint32_t slot, Batch& batch) {
    const std::span<const gpu::RecoverOutput> results = device_.recover_results(slot);
    if (batch.result_count != batch.item_count || results.size() < batch.item_count) {
        return {Fault::wrong_count, "gave " + std::to_string(batch.result_count) + " results for " +
                                        std::to_string(batch.item_count) + " signatures"};
    }
    batch.outputs.assign(results.begin(),
                         results.begin() + static_cast<ptrdiff_t>(batch.item_count));
    size_t item = 0;
    for (const auto& run : batch.runs) {
        for (const gpu::RecoverSlot& input : run) {
            const gpu::RecoverOutput& output = batch.outputs[item];
            if (output.tag != input.tag || output.verdict < gpu::verdict_valid ||
                output.verdict > gpu::verdict_redo) {
                return {Fault::wrong_tag, "gave tag " + std::to_string(output.tag) +
                                              " and verdict " + std::to_string(output.verdict) +
                                              " for tag " + std::to_string(input.tag) +
                                              ", signature " + of_batch(item, batch.item_count)};
            }
            ++item;
        }
    }
    const auto canaries = canaries_of(batch.epoch);
    constexpr size_t half = recover_canaries / 2;
    for (size_t i = 0; i < recover_canaries; ++i) {
        const size_t place = i < half ? i : batch.item_count - recover_canaries + i;
        if (!canaries[i]->agrees(batch.outputs[place])) {
            return {Fault::canary,
                    "gave a wrong known answer, signature " + of_batch(place, batch.item_count)};
        }
    }
    return recheck_senders(batch);
}

size_t DeviceLane::sample_start() noexcept {
    // Relaxed: only the spread of the numbers matters.
    const uint64_t n = samples_.fetch_add(1, std::memory_order_relaxed) * 0x9e3779b97f4a7c15;
    return static_cast<size_t>((n >> 32) % options_.recheck_one_in);
}

DeviceLane::Finding DeviceLane::recheck_senders(Batch& batch) {
    constexpr size_t half = recover_canaries / 2;
    const size_t first = half;
    const size_t end = batch.item_count - half;
    batch.senders.assign(batch.item_count, std::nullopt);
    std::vector<size_t> items;
    std::vector<RecoverJob> jobs;
    size_t sample = first + sample_start();
    size_t item = 0;
    for (const auto& run : batch.runs) {
        for (const gpu::RecoverSlot& input : run) {
            const gpu::RecoverOutput& output = batch.outputs[item];
            const bool sampled = item == sample || item == first || item + 1 == end;
            if (item == sample) { sample += options_.recheck_one_in; }
            if (output.verdict == gpu::verdict_valid) {
                batch.senders[item] = gpu::address_of(output);
            }
            // Refusals are rare, and a false one would drop somebody's transaction.
            if (item >= first && item < end && (sampled || output.verdict != gpu::verdict_valid)) {
                items.push_back(item);
                jobs.push_back(job_of(input));
            }
            ++item;
        }
    }
    std::vector<std::optional<Address>> right(jobs.size());
    cpu_.recover_again(jobs, right);
    figures_.rechecked.add(jobs.size());
    for (size_t i = 0; i < items.size(); ++i) {
        const bool left_over = batch.outputs[items[i]].verdict == gpu::verdict_redo;
        if (!left_over && batch.senders[items[i]] != right[i]) {
            return {Fault::wrong_result,
                    "gave a wrong sender, signature " + of_batch(items[i], batch.item_count)};
        }
        batch.senders[items[i]] = right[i];
    }
    return {};
}

void DeviceLane::write_senders(Batch& batch) const {
    size_t item = recover_canaries / 2;
    for (const Part& part : batch.parts) {
        const std::span<std::optional<Address>> to =
            part.call != nullptr ? part.call->senders : std::span(part.submission->senders);
        std::copy_n(batch.senders.begin() + static_cast<ptrdiff_t>(item), part.item_count(),
                    to.begin() + static_cast<ptrdiff_t>(part.item_count() == 0 ? 0 : part.begin));
        item += part.item_count();
    }
}

DeviceLane::Finding DeviceLane::check_keccak(uint32_t slot, Batch& batch) {
    const std::span<const Hash256> results = device_.keccak_results(slot);
    if (batch.result_count != batch.item_count || results.size() < batch.item_count) {
        return {Fault::wrong_count, "gave " + std::to_string(batch.result_count) + " digests for " +
                                        std::to_string(batch.item_count) + " messages"};
    }
    batch.digests.assign(results.begin(),
                         results.begin() + static_cast<ptrdiff_t>(batch.item_count));
    const KeccakCanaries canaries(batch.epoch);
    if (batch.digests.front() != kernels::keccak256(canaries.front()) ||
        batch.digests.back() != kernels::keccak256(canaries.back())) {
        return {Fault::canary, "gave a wrong digest of a known message in a batch of " +
                                   std::to_string(batch.item_count)};
    }
    const Part& part = batch.parts.front();
    const size_t count = part.size();
    const auto wrong = [&](size_t i) {
        figures_.rechecked.add();
        return batch.digests[1 + i] != kernels::keccak256(part.call->messages[part.begin + i]);
    };
    const auto found = [&](size_t i) -> Finding {
        return {Fault::wrong_result,
                "gave a wrong digest, message " + of_batch(i, batch.item_count)};
    };
    if (count == 0) { return {}; }
    if (wrong(0)) { return found(0); }
    if (wrong(count - 1)) { return found(count - 1); }
    for (size_t i = sample_start(); i + 1 < count; i += options_.recheck_one_in) {
        if (wrong(i)) { return found(i); }
    }
    return {};
}

void DeviceLane::write_digests(Batch& batch) const {
    const Part& part = batch.parts.front();
    std::copy_n(batch.digests.begin() + 1, part.size(),
                part.call->digests.begin() + static_cast<ptrdiff_t>(part.begin));
}

}  // namespace millrace::kernels::detail
