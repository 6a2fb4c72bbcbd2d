// SPDX-License-Identifier: Apache-2.0
// Owns the tests of which precompile exists when, and of the registry of a chain's own ones.
#include <thread>
#include <vector>

#include "evm/precompiles/registry.hpp"
#include "tests/evm/precompiles/calling.hpp"

namespace millrace::evm {
namespace {

using namespace test;

struct Birth {
    unsigned number;
    Revision since;
};

constexpr Birth births[] = {
    {0x01, Revision::frontier},  {0x02, Revision::frontier},  {0x03, Revision::frontier},
    {0x04, Revision::frontier},  {0x05, Revision::byzantium}, {0x06, Revision::byzantium},
    {0x07, Revision::byzantium}, {0x08, Revision::byzantium}, {0x09, Revision::istanbul},
    {0x0a, Revision::cancun},    {0x0b, Revision::prague},    {0x0c, Revision::prague},
    {0x0d, Revision::prague},    {0x0e, Revision::prague},    {0x0f, Revision::prague},
    {0x10, Revision::prague},    {0x11, Revision::prague},    {0x100, Revision::osaka}};

TEST(StandardPrecompiles, EachExistsFromItsForkOnAndNothingElseDoes) {
    const StandardPrecompiles set;
    for (int i = 0; i < revision_count; ++i) {
        const Revision revision = static_cast<Revision>(i);
        for (unsigned number = 0; number < 0x10000; ++number) {
            bool expected = false;
            for (const Birth& birth : births) {
                expected |= birth.number == number && revision >= birth.since;
            }
            ASSERT_EQ(expected, set.contains(precompile_address(number), revision))
                << "address " << number << " revision " << i;
        }
    }
}

TEST(StandardPrecompiles, AnySetByteAboveTheNumberMakesAnotherAddress) {
    const StandardPrecompiles set;
    for (size_t byte = 0; byte < 18; ++byte) {
        Address address = precompile_address(4);
        address[byte] = 1;
        EXPECT_FALSE(set.contains(address, latest_revision)) << byte;
        EXPECT_FALSE(set.run(address, {}, plenty, latest_revision).success) << byte;
    }
}

TEST(StandardPrecompiles, RunFailsBeforeTheFork) {
    expect_failure(0x05, {}, Revision::spurious_dragon);
    expect_failure(0x08, {}, Revision::spurious_dragon);
    expect_failure(0x09, Bytes(213), Revision::petersburg);
    expect_failure(0x10, Bytes(64), Revision::cancun);
    expect_failure(0x100, {}, Revision::prague);
}

TEST(StandardPrecompiles, ManyThreadsGetTheSameAnswers) {
    // One call of each library behind the contracts; every answer but P256VERIFY's has bytes.
    Bytes infinity(48);
    infinity[0] = 0xc0;
    Bytes kzg_hash = call(0x02, infinity).output;
    kzg_hash[0] = 1;
    const Bytes kzg = join(kzg_hash, Bytes(64), infinity, infinity);
    const Bytes power = join(word(U256{1}), word(U256{1}), word(U256{1}), Bytes{3, 5, 100});
    const Bytes signature =
        join(word(U256{1}), word(U256{2}), word(U256{3}), word(U256{4}), word(U256{5}));
    const auto answers = [&] {
        return join(call(0x02, kzg).output, call(0x03, kzg).output, call(0x05, power).output,
                    call(0x08, Bytes(384)).output, call(0x0a, kzg).output,
                    call(0x11, Bytes(128)).output, call(0x100, signature).output);
    };
    const Bytes expected = answers();
    std::vector<std::thread> threads;
    std::vector<Bytes> got(4);
    for (Bytes& slot : got) {
        threads.emplace_back([&slot, &answers] { slot = answers(); });
    }
    for (std::thread& thread : threads) { thread.join(); }
    for (const Bytes& slot : got) { EXPECT_EQ(expected, slot); }
}

PrecompileOutcome echo_length(ByteView input, uint64_t gas, Revision revision) noexcept {
    if (gas < 7) { return {}; }
    return {true, 7, {static_cast<uint8_t>(input.size()), static_cast<uint8_t>(revision)}};
}

TEST(PrecompileRegistry, RunsWhatWasAddedAndKeepsTheBase) {
    PrecompileRegistry registry;
    const Address own = address_literal("0x00000000000000000000000000000000000f0001");
    ASSERT_TRUE(registry.add(own, {"echo", echo_length, Revision::cancun}));
    EXPECT_EQ("echo", registry.name(own));
    EXPECT_EQ("", registry.name(precompile_address(4)));

    EXPECT_TRUE(registry.contains(own, Revision::cancun));
    EXPECT_TRUE(registry.contains(own, Revision::osaka));
    EXPECT_FALSE(registry.contains(own, Revision::shanghai));
    EXPECT_FALSE(registry.run(own, {}, 100, Revision::shanghai).success);

    const Bytes input(3);
    const PrecompileOutcome outcome = registry.run(own, input, 100, Revision::cancun);
    EXPECT_TRUE(outcome.success);
    EXPECT_EQ(7u, outcome.gas_used);
    EXPECT_EQ((Bytes{3, static_cast<uint8_t>(Revision::cancun)}), outcome.output);
    EXPECT_FALSE(registry.run(own, input, 6, Revision::cancun).success);

    EXPECT_TRUE(registry.contains(precompile_address(4), Revision::frontier));
    EXPECT_EQ(input, registry.run(precompile_address(4), input, 100, Revision::frontier).output);
    EXPECT_FALSE(registry.contains(precompile_address(0x12), latest_revision));
    EXPECT_FALSE(registry.run(precompile_address(0x12), input, 100, latest_revision).success);
}

TEST(PrecompileRegistry, RefusesWhatCannotBeAdded) {
    PrecompileRegistry registry;
    const Address own = address_literal("0x00000000000000000000000000000000000f0001");
    const auto code_of = [](const Result<void>& result) { return result.error().code; };

    EXPECT_EQ(ErrorCode::invalid_input, code_of(registry.add(own, {"no function", nullptr})));
    EXPECT_EQ(ErrorCode::invalid_input, code_of(registry.add(own, {"", echo_length})));
    // Taken by Ethereum, even where only a later fork does so.
    EXPECT_EQ(ErrorCode::conflict,
              code_of(registry.add(precompile_address(1), {"echo", echo_length})));
    EXPECT_EQ(ErrorCode::conflict,
              code_of(registry.add(precompile_address(0x100), {"echo", echo_length})));
    ASSERT_TRUE(registry.add(own, {"echo", echo_length}));
    const Result<void> again = registry.add(own, {"other", echo_length});
    ASSERT_FALSE(again);
    EXPECT_EQ(ErrorCode::conflict, again.error().code);
    EXPECT_NE(std::string::npos, again.error().message.find("echo"));

    Address next = own;
    for (size_t count = 1; count < PrecompileRegistry::contracts_max; ++count) {
        next[0] = static_cast<uint8_t>(count);
        ASSERT_TRUE(registry.add(next, {"echo", echo_length})) << count;
    }
    next[1] = 1;
    EXPECT_EQ(ErrorCode::limit, code_of(registry.add(next, {"echo", echo_length})));
}

}  // namespace
}  // namespace millrace::evm
