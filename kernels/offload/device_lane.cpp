// SPDX-License-Identifier: Apache-2.0
// Owns the launch of batches, the wait for them, and what happens when a device fails.
#include "kernels/offload/detail/device_lane.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "host/base/log.hpp"
#include "kernels/offload/detail/canary.hpp"

namespace millrace::kernels::detail {

namespace {

// A batch may take this many times its prediction before it counts as lost.
constexpr int64_t timeout_factor = 10;
// After its last work the thread keeps looking by itself for so long.
constexpr int64_t awake_us = 2'000;
constexpr int64_t poll_us = 20;

size_t without_canaries(size_t items, size_t canaries) {
    MILLRACE_ASSERT(items > canaries, "a device has room for more than known answers");
    return items - canaries;
}

}  // namespace

DeviceLane::DeviceLane(Device& device, Dispatch& dispatch, CpuKernels& cpu, Figures& figures,
                       const Clock& clock, const LaneOptions& options)
    : device_(device),
      dispatch_(dispatch),
      cpu_(cpu),
      figures_(figures),
      clock_(clock),
      options_(options),
      items_max_{without_canaries(device.batch_jobs_max(Kernel::secp256k1), recover_canaries),
                 without_canaries(device.batch_jobs_max(Kernel::keccak), keccak_canaries)},
      batches_(device.slot_count()) {}

uint32_t DeviceLane::count(State state) const noexcept {
    return static_cast<uint32_t>(std::ranges::count_if(batches_, [&](const Batch& batch) {
        return batch.state.load(std::memory_order_acquire) == state;
    }));
}

bool DeviceLane::idle() const noexcept { return count(State::free) == batches_.size(); }

int64_t DeviceLane::step() {
    const int64_t start_cpu_us = thread_cpu_us();
    const int64_t now_us = clock_.steady_us();
    if (up()) { take_completions(); }
    if (up()) { give_up_overdue(now_us); }
    while (up() && !stopping_.load(std::memory_order_relaxed) && launch_one(now_us)) {}
    // The engine may be gone, and figures and clock with it.
    if (disowned()) { return -1; }
    if (!up()) { abandon_all(); }
    figures_.device(last_kernel_).add_cpu(thread_cpu_us() - start_cpu_us);
    return nap_us(now_us);
}

int64_t DeviceLane::nap_us(int64_t now_us) const noexcept {
    int64_t nap = std::numeric_limits<int64_t>::max();
    for (const Batch& batch : batches_) {
        if (batch.state.load(std::memory_order_relaxed) != State::in_flight) { continue; }
        nap = std::min(nap, std::max(poll_us, batch.expected_us - now_us));
    }
    if (look_again_us_ >= 0) { nap = std::min(nap, look_again_us_); }
    if (!up() || stopping_.load(std::memory_order_relaxed)) {
        return nap == std::numeric_limits<int64_t>::max() ? -1 : nap;
    }
    if (now_us - last_work_us_ < awake_us) {
        nap = std::min(nap, std::max<int64_t>(options_.queue.deadline_us / 4, 1));
    }
    return nap == std::numeric_limits<int64_t>::max() ? -1 : nap;
}

template <class Body>
std::optional<std::string> DeviceLane::call_device(Body body) {
    {
        const std::lock_guard lock(call_mutex_);
        ++calls_;
        in_call_ = true;
    }
    std::string failed = body();
    const std::lock_guard lock(call_mutex_);
    in_call_ = false;
    if (disowned_) { return std::nullopt; }
    return failed;
}

bool DeviceLane::disowned() const {
    const std::lock_guard lock(call_mutex_);
    return disowned_;
}

bool DeviceLane::watch(uint32_t looks_max) {
    const std::lock_guard lock(call_mutex_);
    if (disowned_) { return true; }
    if (!in_call_ || seen_call_ != calls_) {
        seen_call_ = calls_;
        looks_ = 0;
        return false;
    }
    if (++looks_ < looks_max) { return false; }
    disowned_ = true;
    quarantine(Fault::timeout, "did not return from a call of its driver");
    abandon_all();
    return true;
}

void DeviceLane::take_completions() {
    completions_.clear();
    const auto failed = call_device([&] { return device_.poll(completions_); });
    if (!failed) { return; }
    if (!failed->empty()) {
        quarantine(Fault::device_error, *failed);
        return;
    }
    for (const Completion& completion : completions_) {
        const bool known = completion.slot < batches_.size();
        Batch* const batch = known ? &batches_[completion.slot] : nullptr;
        // An epoch is never used twice, so a batch that comes late or again has another one.
        if (!known || batch->state.load(std::memory_order_acquire) != State::in_flight ||
            batch->epoch != completion.epoch) {
            quarantine(Fault::stale_epoch, "reported epoch " + std::to_string(completion.epoch) +
                                               " in slot " + std::to_string(completion.slot) +
                                               ", where none such is in flight");
            return;
        }
        if (!completion.fault.empty()) {
            quarantine(Fault::device_error, completion.fault);
            return;
        }
        batch->result_count = completion.result_count;
        const Call* const call = batch->parts.front().call;
        // Release: the worker that checks it sees the batch.
        batch->state.store(State::ended, std::memory_order_release);
        dispatch_.add_check(completion.slot, call);
    }
}

void DeviceLane::give_up_overdue(int64_t now_us) {
    for (const Batch& batch : batches_) {
        if (batch.state.load(std::memory_order_relaxed) != State::in_flight) { continue; }
        if (now_us < batch.deadline_us) { continue; }
        quarantine(Fault::timeout, "gave no answer to a batch of " +
                                       std::to_string(batch.item_count) + " within " +
                                       std::to_string(now_us - batch.launched_us) + " us");
        return;
    }
}

void DeviceLane::abandon_all() {
    look_again_us_ = -1;
    Fault fault{};
    {
        const std::lock_guard lock(reason_mutex_);
        fault = fault_;
    }
    for (Batch& batch : batches_) {
        if (batch.state.load(std::memory_order_relaxed) != State::in_flight) { continue; }
        figures_.count_fall_back(batch.kernel, fault);
        dispatch_.give_back(batch.parts);
        batch.state.store(State::free, std::memory_order_release);
    }
}

bool DeviceLane::launch_one(int64_t now_us) {
    const QueueLoad load = dispatch_.load(now_us, count(State::in_flight), count(State::free));
    const QueueDecision decision = decide(options_.queue, load);
    dispatch_.set_device_share(decision.device_share_jobs);
    look_again_us_ = decision.look_again_us;
    if (load.jobs != 0) { last_work_us_ = now_us; }
    const auto free = std::ranges::find_if(batches_, [](const Batch& batch) {
        // Acquire: the worker that checked the last batch of the slot is done with it.
        return batch.state.load(std::memory_order_acquire) == State::free;
    });
    if (free == batches_.end()) { return false; }
    Batch& batch = *free;
    batch.parts.clear();
    if (decision.launch_jobs != 0) {
        batch.kernel = Kernel::secp256k1;
        dispatch_.take_oldest(
            std::min(decision.launch_jobs, items_max_[static_cast<size_t>(Kernel::secp256k1)]),
            batch.parts);
    } else {
        dispatch_.take_block(items_max_, batch.parts, batch.kernel);
    }
    if (batch.parts.empty()) { return false; }
    last_work_us_ = now_us;
    last_kernel_ = batch.kernel;
    batch.epoch = next_epoch_++;
    batch.launched_us = clock_.steady_us();
    const auto failed = submit(static_cast<uint32_t>(free - batches_.begin()), batch);
    if (!failed) { return false; }
    const auto predicted_us = static_cast<int64_t>(
        options_.device_cost[static_cast<size_t>(batch.kernel)].at(batch.item_count));
    batch.expected_us = batch.launched_us + predicted_us;
    batch.deadline_us =
        batch.launched_us + std::max(options_.timeout_us, timeout_factor * predicted_us);
    if (!failed->empty()) { quarantine(Fault::device_error, *failed); }
    return failed->empty();
}

std::optional<std::string> DeviceLane::submit(uint32_t slot, Batch& batch) {
    // In flight before the call, so that its parts are given back should that not return.
    if (batch.kernel == Kernel::keccak) {
        const size_t words = fill_keccak(slot, batch);
        batch.state.store(State::in_flight, std::memory_order_relaxed);
        return call_device(
            [&] { return device_.submit_keccak(slot, batch.epoch, batch.item_count, words); });
    }
    fill_recover(slot, batch);
    figures_.depth.set(static_cast<int64_t>(dispatch_.depth()));
    for (const Part& part : batch.parts) {
        if (part.submission == nullptr) { continue; }
        const int64_t waited_us =
            std::max<int64_t>(batch.launched_us - part.submission->queued_us, 0);
        figures_.wait.observe_us(static_cast<uint64_t>(waited_us));
        if (waited_us > options_.queue.deadline_us &&
            part.submission->urgency != Urgency::throughput) {
            figures_.late.add(part.item_count());
        }
    }
    batch.state.store(State::in_flight, std::memory_order_relaxed);
    return call_device([&] { return device_.submit_recover(slot, batch.epoch, batch.runs); });
}

void DeviceLane::fill_recover(uint32_t slot, Batch& batch) {
    const std::span<gpu::RecoverSlot> staging = device_.recover_staging(slot);
    const auto canaries = canaries_of(batch.epoch);
    for (size_t i = 0; i < recover_canaries; ++i) {
        gpu::write_slot(canaries[i]->job(), next_tag_++, staging[i]);
    }
    constexpr size_t half = recover_canaries / 2;
    size_t staged = recover_canaries;
    batch.runs.assign(1, staging.first(half));
    batch.item_count = recover_canaries;
    const auto add = [&](std::span<const gpu::RecoverSlot> run) {
        if (run.empty()) { return; }
        std::span<const gpu::RecoverSlot>& last = batch.runs.back();
        if (last.data() + last.size() == run.data()) {
            last = {last.data(), last.size() + run.size()};
            return;
        }
        // The last run and the canaries after it need a place, too.
        if (batch.runs.size() < Device::runs_max - 2) {
            batch.runs.push_back(run);
            return;
        }
        std::ranges::copy(run, staging.begin() + static_cast<ptrdiff_t>(staged));
        const std::span<const gpu::RecoverSlot> copy = staging.subspan(staged, run.size());
        staged += run.size();
        if (last.data() + last.size() == copy.data()) {
            last = {last.data(), last.size() + copy.size()};
        } else {
            batch.runs.push_back(copy);
        }
    };
    for (const Part& part : batch.parts) {
        batch.item_count += part.item_count();
        if (part.submission != nullptr) {
            for (const auto& run : part.submission->ring->runs(
                     part.submission->position + part.begin, part.item_count())) {
                add(run);
            }
            continue;
        }
        const std::span<gpu::RecoverSlot> written = staging.subspan(staged, part.size());
        staged += part.size();
        for (size_t i = 0; i < written.size(); ++i) {
            gpu::write_slot(part.call->jobs[part.begin + i], next_tag_++, written[i]);
        }
        add(written);
    }
    batch.runs.push_back(staging.subspan(half, half));
}

size_t DeviceLane::fill_keccak(uint32_t slot, Batch& batch) {
    const KeccakStaging staging = device_.keccak_staging(slot);
    const KeccakCanaries canaries(batch.epoch);
    const size_t words_max = staging.words.size() - packed_words(canaries.back().size());
    size_t words = 0;
    batch.item_count = 0;
    const auto pack = [&](ByteView message) {
        pack_message(message.data(), message.size(), staging.words.data() + words);
        staging.extents[batch.item_count++] = {static_cast<uint32_t>(words),
                                               static_cast<uint32_t>(message.size())};
        words += packed_words(message.size());
    };
    pack(canaries.front());
    Part& part = batch.parts.front();
    for (size_t i = part.begin; i < part.end; ++i) {
        const ByteView message = part.call->messages[i];
        if (packed_words(message.size()) > words_max - words) {
            dispatch_.shorten(part, i);
            break;
        }
        pack(message);
    }
    pack(canaries.back());
    return words;
}

void DeviceLane::quarantine(Fault fault, const std::string& what) {
    {
        const std::lock_guard lock(reason_mutex_);
        if (!reason_.empty()) { return; }
        reason_ = "quarantined: " + what;
        fault_ = fault;
    }
    up_.store(false, std::memory_order_release);
    figures_.quarantined.set(1);
    dispatch_.device_down();
    log::warn("offload device quarantined; its batches are redone on the CPU",
              {{"reason", to_string(fault)}, {"what", what}});
}

std::string DeviceLane::quarantine_reason() const {
    const std::lock_guard lock(reason_mutex_);
    return reason_;
}

}  // namespace millrace::kernels::detail
