// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the comparison by which a device's trees are checked: it passes what is right
// and finds what is not, in each of its steps.
#include "kernels/gpu_check/tree_comparison.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/tree/resident_emulation.hpp"

namespace millrace::gpu_check {
namespace {

using kernels::NodeHash;
using kernels::detail::ResidentReport;
using kernels::detail::ResidentShape;
using kernels::detail::ResidentStaging;
using kernels::detail::ResidentStore;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Effort effort{.compared_items = 300, .threads = 2, .seed = 5};

enum class Flaw : uint8_t { none, update, sorted_update, load, read };

/// The emulated device, wrong in one step.
class Flawed final : public ResidentStore {
public:
    Flawed(const ResidentShape& shape, Flaw flaw) : inner_(shape), flaw_(flaw) {}
    ResidentStaging staging() override { return inner_.staging(); }
    std::string fill(const Hash256& leaf) override { return inner_.fill(leaf); }
    std::string load(std::span<const Hash256> leaves) override {
        std::vector<Hash256> given(leaves.begin(), leaves.end());
        if (flaw_ == Flaw::load) { given.back().bytes[31] ^= 1; }
        return inner_.load(given);
    }
    std::string update(uint32_t writes, bool sorted, ResidentReport& report) override {
        // Takes writes in ascending order for granted, or the other way round.
        if ((flaw_ == Flaw::update && !sorted) || (flaw_ == Flaw::sorted_update && sorted)) {
            staging().values[writes - 1].bytes[0] ^= 1;
        }
        return inner_.update(writes, sorted, report);
    }
    std::string read(size_t first, std::span<Hash256> nodes) override {
        std::string fault = inner_.read(first, nodes);
        if (flaw_ == Flaw::read) { nodes.back().bytes[5] ^= 0x80; }
        return fault;
    }
    size_t tree_bytes() const override { return inner_.tree_bytes(); }
    size_t staging_bytes() const override { return inner_.staging_bytes(); }

private:
    millrace::test::ResidentEmulation inner_;
    Flaw flaw_;
};

Outcome compared(Flaw flaw, NodeHash hash, unsigned height) {
    Outcome outcome;
    compare_tree(
        [flaw](const ResidentShape& shape, std::unique_ptr<ResidentStore>& store) {
            store = std::make_unique<Flawed>(shape, flaw);
            return std::string{};
        },
        hash, height, std::min(effort.compared_items, size_t{3} << height), effort, outcome);
    return outcome;
}

TEST(TreeComparison, TheEmulatedDeviceAgrees) {
    for (const NodeHash hash : {NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3}) {
        for (const unsigned height : {0u, 1u, 5u, 9u}) {
            const Outcome outcome = compared(Flaw::none, hash, height);
            EXPECT_THAT(outcome.fault, IsEmpty());
            EXPECT_GT(outcome.compared, size_t{6} << height);
        }
    }
}

TEST(TreeComparison, EveryStepIsCompared) {
    for (const unsigned height : {0u, 5u, 9u}) {
        const auto fault = [&](Flaw flaw) {
            return compared(flaw, NodeHash::keccak256, height).fault;
        };
        EXPECT_THAT(fault(Flaw::update), HasSubstr("(update of"));
        EXPECT_THAT(fault(Flaw::sorted_update), HasSubstr("(sorted update of"));
        EXPECT_THAT(fault(Flaw::load), HasSubstr("(read of"));
        EXPECT_THAT(fault(Flaw::read), HasSubstr("(read of"));
    }
}

TEST(TreeComparison, AStoreThatCannotBeMadeIsAFault) {
    Outcome outcome;
    compare_tree([](const ResidentShape&,
                    std::unique_ptr<ResidentStore>&) { return std::string("no memory"); },
                 NodeHash::keccak256, 3, 4, effort, outcome);
    EXPECT_EQ(outcome.fault, "no memory");
}

}  // namespace
}  // namespace millrace::gpu_check
