// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the copying instructions: bounds, padding, overlap, CALLDATALOAD.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Copy, CallDataIsPaddedWithZeros) {
    Machine m;
    const Bytes input = {1, 2, 3, 4};
    const auto copied = [&](const U256& offset) {
        // Memory is dirty before.
        const Code c = Code()
                           .mstore(0, U256::max())
                           .push(32)
                           .push(offset)
                           .push(0)
                           .op(Opcode::calldatacopy)
                           .ret(0, 32);
        return m.run(c, {.input = input}).word();
    };
    EXPECT_EQ(copied(0), shl(U256{0x01020304}, 224));
    EXPECT_EQ(copied(2), shl(U256{0x0304}, 240));
    EXPECT_EQ(copied(4), U256{});
    EXPECT_EQ(copied(U256::max()), U256{});
    EXPECT_EQ(
        m.run(Code().push(33).push(0).push(0).op(Opcode::calldatacopy), {.input = input}).gas_used,
        9 + 3 + 2 * 3 + 6);
}

TEST(Copy, CodeOfOthersAndOneself) {
    Machine m;
    m.deploy(other_address, Bytes{0xaa, 0xbb});
    EXPECT_EQ(m.value_of(Code()
                             .push(32)
                             .push(0)
                             .push(0)
                             .push(other_address)
                             .op(Opcode::extcodecopy)
                             .push(0)
                             .op(Opcode::mload)),
              shl(U256{0xaabb}, 240));
    EXPECT_EQ(m.value_of(Code().push(other_address).op(Opcode::extcodesize)), U256{2});
    EXPECT_EQ(m.value_of(Code().push(other_address).op(Opcode::extcodehash)),
              to_u256(kernels::keccak256(Bytes{0xaa, 0xbb})));
    EXPECT_EQ(m.value_of(Code().push(address_of(0x99)).op(Opcode::extcodehash)), U256{})
        << "no such account";
    EXPECT_EQ(m.value_of(Code().push(sender_address).op(Opcode::extcodehash)),
              to_u256(kernels::keccak256_of_empty));
    const Code own = Code().push(32).push(0).push(0).op(Opcode::codecopy).push(0).op(Opcode::mload);
    Code whole = own;
    whole.ret_top();
    uint8_t word[32] = {};
    std::copy_n(whole.bytes().begin(), std::min<size_t>(32, whole.size()), word);
    EXPECT_EQ(m.value_of(own), load_be(word));
}

TEST(Copy, McopyHandlesOverlapBothWays) {
    Machine m;
    const U256 pattern = shl(U256{0x0102030405060708}, 192);
    const auto moved = [&](uint64_t to, uint64_t from, uint64_t n) {
        return m.value_of(Code()
                              .mstore(0, pattern)
                              .push_all(n, from, to)
                              .op(Opcode::mcopy)
                              .push(0)
                              .op(Opcode::mload));
    };
    EXPECT_EQ(moved(1, 0, 8), shl(U256{0x0101020304050607}, 192) + shl(U256{0x08}, 184));
    EXPECT_EQ(moved(0, 1, 8), shl(U256{0x0203040506070800}, 192));
    EXPECT_EQ(moved(0, 64, 0), pattern);
    EXPECT_EQ(m.value_of(Code().push_all(1, 100, 0).op(Opcode::mcopy).op(Opcode::msize)), U256{128})
        << "the source grows memory too";
}

TEST(Copy, CallDataLoadAtEveryOffset) {
    Machine m;
    for (const size_t size : {0, 1, 31, 32, 33, 64}) {
        Bytes input(size);
        for (size_t i = 0; i < size; ++i) { input[i] = static_cast<uint8_t>(i + 1); }
        for (uint64_t offset = 0; offset <= 66; ++offset) {
            U256 expected;
            for (size_t i = 0; i < 32; ++i) {
                const size_t at = offset + i;
                expected = expected << 8 | U256{at < size ? at + 1 : 0};
            }
            const Outcome o =
                m.run(Code().push(offset).op(Opcode::calldataload).ret_top(), {.input = input});
            ASSERT_EQ(o.word(), expected) << size << " bytes, offset " << offset;
        }
        for (const U256& far : {U256{~uint64_t{0}}, U256{~uint64_t{0} - 31}, shl(U256{1}, 64),
                                shl(U256{1}, 128), shl(U256{1}, 255), U256::max()}) {
            const Outcome o =
                m.run(Code().push(far).op(Opcode::calldataload).ret_top(), {.input = input});
            EXPECT_EQ(o.word(), U256{}) << to_hex_quantity(far);
            EXPECT_EQ(o.gas_used, 3 + 3 + 3 + 6 + 6) << "its gas does not depend on the offset";
        }
    }
}

/// `size` bytes that count up from 0xa0.
Bytes pattern(size_t size) {
    Bytes b(size);
    for (size_t i = 0; i < size; ++i) { b[i] = static_cast<uint8_t>(0xa0 + i); }
    return b;
}

TEST(Copy, SourcesBeyondTheirEndReadAsZero) {
    // The same rule for call data, own code and the code of others; memory is dirty before.
    Machine m;
    const Bytes data = pattern(40);
    m.deploy(other_address, data);
    for (const Opcode op : {Opcode::calldatacopy, Opcode::extcodecopy}) {
        SCOPED_TRACE(opcode_name(static_cast<uint8_t>(op)));
        const auto copied = [&](const U256& from, uint64_t size) {
            Code c = Code().mstore(0, U256::max()).mstore(32, U256::max());
            c.push(size).push(from).push(0);
            if (op == Opcode::extcodecopy) { c.push(other_address); }
            return m.run(c.op(op).ret(0, 64), {.input = data}).output;
        };
        const auto expected = [&](uint64_t from, uint64_t size) {
            Bytes b(64, 0xff);
            for (uint64_t i = 0; i < size; ++i) {
                b[i] = from < data.size() && i < data.size() - from ? data[from + i] : 0;
            }
            return b;
        };
        for (const uint64_t from : {0, 1, 8, 39, 40, 41, 1000}) {
            for (const uint64_t size : {0, 1, 31, 32, 33, 40, 64}) {
                EXPECT_EQ(copied(from, size), expected(from, size)) << from << " " << size;
            }
        }
        for (const U256& far : {U256{~uint64_t{0}}, U256{~uint64_t{0} - 15}, shl(U256{1}, 64),
                                shl(U256{1}, 64) + U256{8}, shl(U256{1}, 255), U256::max()}) {
            EXPECT_EQ(copied(far, 16), expected(1000, 16)) << to_hex_quantity(far);
        }
    }
}

TEST(Copy, OwnCodeIsPaddedWithZerosBeyondItsEnd) {
    Machine m;
    const auto copied = [&](const U256& from) {
        Code c = Code()
                     .mstore(0, U256::max())
                     .push(32)
                     .push(from)
                     .push(0)
                     .op(Opcode::codecopy)
                     .ret(0, 32);
        Bytes whole = c.bytes();
        const Outcome o = m.run(c);
        return std::pair{o.output, whole};
    };
    for (const uint64_t from : {0, 5, 20, 40, 60, 1000}) {
        const auto [output, code] = copied(from);
        ASSERT_EQ(output.size(), 32u);
        for (size_t i = 0; i < 32; ++i) {
            EXPECT_EQ(output[i], from + i < code.size() ? code[from + i] : 0);
        }
    }
    for (const U256& far : {U256{~uint64_t{0}}, shl(U256{1}, 64), U256::max()}) {
        EXPECT_EQ(copied(far).first, Bytes(32));
    }
}

TEST(Copy, CodeOfAnAccountWithoutCodeIsEmpty) {
    Machine m;
    m.state.set_balance(other_address, U256{1});
    for (const Address& a : {other_address, address_of(0x9999), address_of(4)}) {
        EXPECT_EQ(m.value_of(Code().push(a).op(Opcode::extcodesize)), U256{});
        const Code copy =
            Code().mstore(0, U256::max()).push_all(32, 0, 0).push(a).op(Opcode::extcodecopy);
        EXPECT_EQ(m.run(Code().append(copy).ret(0, 32)).word(), U256{});
    }
}

TEST(Copy, McopyMovesAnyOverlap) {
    // EIP-5656: as if through a buffer.
    Machine m;
    const Bytes before = pattern(64);
    for (const uint64_t to : {0, 1, 7, 31, 32, 33}) {
        for (const uint64_t from : {0, 1, 8, 31, 32}) {
            for (const uint64_t size : {0, 1, 8, 31, 32}) {
                Bytes after = before;
                after.resize(96);
                const Bytes moved(after.begin() + static_cast<ptrdiff_t>(from),
                                  after.begin() + static_cast<ptrdiff_t>(from + size));
                std::copy(moved.begin(), moved.end(), after.begin() + static_cast<ptrdiff_t>(to));
                const Outcome o =
                    m.run(Code().put(before).push_all(size, from, to).op(Opcode::mcopy).ret(0, 96));
                ASSERT_EQ(o.output, after) << to << " " << from << " " << size;
            }
        }
    }
}

TEST(Copy, McopyMovesLongOverlaps) {
    // Longer than any vector register, in both directions.
    Machine m;
    Bytes data(6000);
    for (size_t i = 0; i < data.size(); ++i) { data[i] = static_cast<uint8_t>(i * 7 + i / 256); }
    for (const auto& [to, from] : std::vector<std::pair<uint64_t, uint64_t>>{
             {1, 0}, {0, 1}, {100, 0}, {0, 100}, {2000, 0}, {0, 2000}}) {
        constexpr uint64_t size = 4000;
        Bytes after = data;
        for (uint64_t i = 0; i < size; ++i) { after[to + i] = data[from + i]; }
        const Outcome o = m.run(Code()
                                    .push_all(data.size(), 0, 0)
                                    .op(Opcode::calldatacopy)
                                    .push_all(size, from, to)
                                    .op(Opcode::mcopy)
                                    .ret(0, data.size()),
                                {.input = data});
        EXPECT_EQ(o.output, after) << to << " " << from;
    }
}

}  // namespace
}  // namespace millrace::evm
