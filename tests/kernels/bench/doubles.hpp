// SPDX-License-Identifier: Apache-2.0
// Owns a family of kernels that does what a test asks of it: right, wrong, failing or absent.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "kernels/bench/workload.hpp"

namespace millrace::kernel_bench::test {

enum class Behaviour : uint8_t {
    right,
    wrong_last,           ///< the last item of a batch is wrong
    wrong_later,          ///< right until it has been called four times
    fails,                ///< gives an error
    does_nothing,         ///< leaves the answer as it was
    slow_items,           ///< right, 500 us for each item
    slow_start,           ///< right, on a "device" that takes 2 ms for any batch
    absent,               ///< does not answer
    device,               ///< right, on a "device" that takes 5 us of its own
    device_wrong_kernel,  ///< right end to end, wrong when its kernel is timed
};

/// What the contenders were asked to do.
struct Calls {
    std::atomic<size_t> runs{0};
    std::atomic<size_t> parts_max{0};
};

/// The answer of item i is i + 1.
class DoubleWorkload final : public Workload {
public:
    DoubleWorkload(std::vector<Behaviour> behaviours, size_t batch, Calls& calls)
        : behaviours_(std::move(behaviours)), answers_(batch), calls_(calls) {}

    void forget() override { std::ranges::fill(answers_, size_t{0}); }

    Result<void> run(size_t id, size_t part, size_t parts) override {
        const size_t before = calls_.runs.fetch_add(1);
        calls_.parts_max.store(std::max(calls_.parts_max.load(), parts));
        const Behaviour behaviour = behaviours_[id];
        if (behaviour == Behaviour::fails) {
            return fail(ErrorCode::internal, "the double fails as asked");
        }
        if (behaviour == Behaviour::does_nothing) { return {}; }
        if (behaviour == Behaviour::slow_items) {
            std::this_thread::sleep_for(std::chrono::microseconds(500 * answers_.size()));
        }
        if (behaviour == Behaviour::slow_start) {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        const Slice slice = slice_of(answers_.size(), part, parts);
        std::iota(answers_.begin() + static_cast<ptrdiff_t>(slice.first),
                  answers_.begin() + static_cast<ptrdiff_t>(slice.end), slice.first + 1);
        const bool wrong = behaviour == Behaviour::wrong_last ||
                           (behaviour == Behaviour::wrong_later && before >= 4);
        if (wrong && part + 1 == parts) { answers_.back() += 1; }
        return {};
    }

    Result<double> kernel_us(size_t id) override {
        MILLRACE_CHECK(run(id, 0, 1));
        if (behaviours_[id] == Behaviour::device_wrong_kernel) { answers_.back() = 0; }
        return 5;
    }

    std::string compare() override {
        for (size_t i = 0; i < answers_.size(); ++i) {
            if (answers_[i] != i + 1) {
                return "item " + std::to_string(i) + " is " + std::to_string(answers_[i]);
            }
        }
        return {};
    }

private:
    std::vector<Behaviour> behaviours_;
    std::vector<size_t> answers_;
    Calls& calls_;
};

/// A family "double" with one case; contender i has the name "b0", "b1" .. and behaviours[i].
inline Family double_family(std::vector<Behaviour> behaviours, Calls& calls) {
    Family family;
    family.name = "double";
    family.summary = "test doubles";
    for (size_t i = 0; i < behaviours.size(); ++i) {
        family.backends.push_back("b" + std::to_string(i));
    }
    family.cases = [behaviours, &calls](const FamilyOptions&) {
        KernelCase c;
        c.kernel = "counting";
        c.shape = "one by one";
        c.item = "number";
        c.bytes_per_item = 8;
        for (size_t i = 0; i < behaviours.size(); ++i) {
            Contender k;
            k.id = i;
            k.backend = "b" + std::to_string(i);
            k.target = "test";
            k.on_device = behaviours[i] == Behaviour::device ||
                          behaviours[i] == Behaviour::device_wrong_kernel ||
                          behaviours[i] == Behaviour::slow_start;
            if (behaviours[i] == Behaviour::absent) {
                k.available = false;
                k.reason = "the double is not here";
            }
            c.contenders.push_back(k);
        }
        c.memory_bytes = [](size_t batch) { return batch * 8; };
        c.prepare = [behaviours, &calls](size_t batch, uint64_t) {
            return std::make_unique<DoubleWorkload>(behaviours, batch, calls);
        };
        return std::vector<KernelCase>{c};
    };
    return family;
}

}  // namespace millrace::kernel_bench::test
