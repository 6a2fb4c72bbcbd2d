// SPDX-License-Identifier: Apache-2.0
// Owns the computation of the fake device and its tricks.
#include "tests/kernels/offload/fake_device.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/keccak/keccak.hpp"
#include "kernels/offload/detail/canary.hpp"
#include "kernels/offload/detail/work.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace millrace::kernels {

namespace {

constexpr size_t keccak_words_max = 8192;

/// What the device's kernels would write.
std::vector<gpu::RecoverOutput> recover_as_device(const std::vector<gpu::RecoverSlot>& slots) {
    std::vector<RecoverJob> jobs;
    for (const gpu::RecoverSlot& slot : slots) { jobs.push_back(detail::job_of(slot)); }
    std::vector<std::optional<Address>> senders(jobs.size());
    const Result<void> recovered = recover_addresses(fastest_recover_backend(), jobs, senders);
    MILLRACE_ASSERT(recovered.has_value(), "the fastest back end is there");
    std::vector<gpu::RecoverOutput> outputs(slots.size());
    for (size_t i = 0; i < slots.size(); ++i) {
        gpu::RecoverOutput& output = outputs[i];
        output = {};
        output.tag = slots[i].tag;
        output.verdict = senders[i] ? gpu::verdict_valid : gpu::verdict_invalid;
        // Some are left to the CPU, as a device does with exceptional additions.
        if (slots[i].digest[0] % 16 == 1 && i >= 2 && i + 2 < slots.size()) {
            output.verdict = gpu::verdict_redo;
        } else if (senders[i]) {
            std::memcpy(output.address, senders[i]->data(), sizeof output.address);
        }
    }
    return outputs;
}

/// A place between the known answers, or 0 in a batch that has nothing else.
size_t middle(size_t count) { return count / 2; }

void tamper(Trick trick, std::vector<gpu::RecoverOutput>& outputs) {
    const auto find = [&](gpu::Verdict verdict) {
        return std::find_if(outputs.begin() + 2, outputs.end() - 2,
                            [&](const auto& o) { return o.verdict == verdict; });
    };
    switch (trick) {
        case Trick::all_wrong:
            for (gpu::RecoverOutput& output : outputs) { output.address[0] ^= 1; }
            break;
        case Trick::last_wrong: outputs.back().address[0] ^= 1; break;
        case Trick::flips_bit: outputs[middle(outputs.size())].address[4] ^= 0x10000; break;
        case Trick::false_invalid:
            if (const auto o = find(gpu::verdict_valid); o != outputs.end() - 2) {
                o->verdict = gpu::verdict_invalid;
                std::memset(o->address, 0, sizeof o->address);
            }
            break;
        case Trick::false_valid:
            if (const auto o = find(gpu::verdict_invalid); o != outputs.end() - 2) {
                o->verdict = gpu::verdict_valid;
                o->address[1] = 77;
            }
            break;
        case Trick::exchanges: std::swap(outputs.front(), outputs.back()); break;
        default: break;
    }
}

void tamper(Trick trick, std::vector<Hash256>& digests) {
    switch (trick) {
        case Trick::all_wrong:
            for (Hash256& digest : digests) { digest.data()[0] ^= 1; }
            break;
        case Trick::last_wrong: digests.back().data()[0] ^= 1; break;
        case Trick::flips_bit:
        case Trick::false_invalid:
        case Trick::false_valid: digests[middle(digests.size())].data()[31] ^= 0x80; break;
        case Trick::exchanges: std::swap(digests.front(), digests.back()); break;
        default: break;
    }
}

}  // namespace

FakeDevice::FakeDevice(std::function<FakePlan(uint64_t)> plan, uint32_t slots,
                       size_t batch_jobs_max)
    : plan_(std::move(plan)), batch_jobs_max_(batch_jobs_max), slots_(slots) {
    for (Slot& slot : slots_) {
        slot.staging.resize(batch_jobs_max);
        slot.words.resize(keccak_words_max);
        slot.extents.resize(batch_jobs_max);
        slot.outputs.resize(batch_jobs_max);
        slot.digests.resize(batch_jobs_max);
    }
}

BackendStatus FakeDevice::status(detail::Kernel kernel) const {
    BackendStatus status{.kernel = to_string(kernel), .backend = Backend::cuda};
    status.available = absent.empty();
    if (absent.empty()) { status.target = "fake"; }
    status.reason = absent;
    return status;
}

std::span<std::byte> FakeDevice::pinned_memory(size_t bytes) {
    if (!has_pinned_memory) { return {}; }
    pinned_.push_back(std::make_unique<std::byte[]>(bytes));
    return {pinned_.back().get(), bytes};
}
std::span<gpu::RecoverSlot> FakeDevice::recover_staging(uint32_t slot) {
    return slots_[slot].staging;
}
detail::KeccakStaging FakeDevice::keccak_staging(uint32_t slot) {
    return {slots_[slot].words, slots_[slot].extents};
}

std::string FakeDevice::start(uint32_t index, uint64_t epoch, size_t count) {
    Slot& slot = slots_[index];
    MILLRACE_ASSERT(!slot.busy, "a slot in flight is not submitted again");
    MILLRACE_ASSERT(count <= batch_jobs_max_, "a batch fits");
    slot.plan = plan_(batches.fetch_add(1));
    if (slot.plan.trick == Trick::stuck_submit) {
        stuck();
        return "the fake device came back";
    }
    if (gone.load() || slot.plan.trick == Trick::refuses) { return "the fake device refused"; }
    slot.epoch = epoch;
    slot.count = count;
    slot.busy = true;
    items.fetch_add(count);
    return {};
}

std::string FakeDevice::submit_recover(uint32_t index, uint64_t epoch,
                                       std::span<const std::span<const gpu::RecoverSlot>> runs) {
    MILLRACE_ASSERT(runs.size() <= detail::Device::runs_max, "runs are limited");
    most_runs.store(std::max(most_runs.load(), runs.size()));
    size_t count = 0;
    for (const auto& run : runs) { count += run.size(); }
    // Before it reads: a call that comes back too late finds other jobs in the rings.
    if (std::string failed = start(index, epoch, count); !failed.empty()) { return failed; }
    std::vector<gpu::RecoverSlot> slots;
    for (const auto& run : runs) { slots.insert(slots.end(), run.begin(), run.end()); }
    Slot& slot = slots_[index];
    if (slot.plan.trick == Trick::stale_results) { return {}; }
    std::vector<gpu::RecoverOutput> outputs = recover_as_device(slots);
    tamper(slot.plan.trick, outputs);
    std::ranges::copy(outputs, slot.outputs.begin());
    return {};
}

std::string FakeDevice::submit_keccak(uint32_t index, uint64_t epoch, size_t message_count,
                                      size_t word_count) {
    MILLRACE_ASSERT(word_count <= keccak_words_max, "the words fit");
    if (std::string failed = start(index, epoch, message_count); !failed.empty()) { return failed; }
    Slot& slot = slots_[index];
    if (slot.plan.trick == Trick::stale_results) { return {}; }
    std::vector<Hash256> digests;
    for (size_t i = 0; i < message_count; ++i) {
        const detail::PackedExtent& extent = slot.extents[i];
        const auto* const bytes =
            reinterpret_cast<const uint8_t*>(slot.words.data() + extent.first_word);
        digests.push_back(keccak256(ByteView(bytes, extent.bytes)));
    }
    tamper(slot.plan.trick, digests);
    std::ranges::copy(digests, slot.digests.begin());
    return {};
}

detail::Completion FakeDevice::end(uint32_t index) {
    Slot& slot = slots_[index];
    slot.busy = false;
    detail::Completion completion{
        .slot = index, .epoch = slot.epoch, .result_count = slot.count, .fault = {}};
    switch (slot.plan.trick) {
        case Trick::reports_fault: completion.fault = "the fake device failed"; break;
        case Trick::too_few: --completion.result_count; break;
        case Trick::too_many: ++completion.result_count; break;
        case Trick::wrong_epoch: ++completion.epoch; break;
        case Trick::wrong_slot: completion.slot = (index + 1) % slot_count(); break;
        case Trick::no_such_slot: completion.slot = slot_count(); break;
        case Trick::twice: slot.again = slot.epoch; break;
        default: break;
    }
    return completion;
}

std::string FakeDevice::poll(std::vector<detail::Completion>& completions) {
    if (gone.load()) { return "the fake device has gone"; }
    if (paused.load()) { return {}; }
    for (uint32_t i = 0; i < slot_count(); ++i) {
        Slot& slot = slots_[i];
        if (slot.again != 0) {
            completions.push_back({i, slot.again, slot.count, {}});
            slot.again = 0;
        }
        if (!slot.busy || slot.plan.trick == Trick::hangs) { continue; }
        if (slot.plan.trick == Trick::stuck_poll) {
            stuck();
            return "the fake device came back";
        }
        if (slot.plan.trick == Trick::lost) { return "the fake device is lost"; }
        if (slot.plan.polls != 0) {
            --slot.plan.polls;
            continue;
        }
        completions.push_back(end(i));
        ended.fetch_add(1);
    }
    return {};
}

std::span<const gpu::RecoverOutput> FakeDevice::recover_results(uint32_t slot) const {
    return slots_[slot].outputs;
}
std::span<const Hash256> FakeDevice::keccak_results(uint32_t slot) const {
    return slots_[slot].digests;
}

}  // namespace millrace::kernels
