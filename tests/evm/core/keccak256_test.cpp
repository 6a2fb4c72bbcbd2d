// SPDX-License-Identifier: Apache-2.0
// Owns the tests of KECCAK256: known answers, and the memory of preimages of 64 bytes.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

U256 number(std::string_view hex) { return to_u256(hash_literal(hex)); }

Code hash(uint64_t offset, uint64_t size) {
    return Code().push_all(size, offset).op(Opcode::keccak256);
}
/// The hash of two words, as contracts compute the slot of a mapping.
Code hash_of_two(const U256& a, const U256& b) {
    return Code().mstore(0, a).mstore(32, b).append(hash(0, 64));
}

TEST(Keccak256, KnownAnswers) {
    Machine m;
    EXPECT_EQ(m.value_of(hash(0, 0)),
              number("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"));
    EXPECT_EQ(m.value_of(hash(0, 1)),
              number("0xbc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a"));
    EXPECT_EQ(m.value_of(hash(0, 32)),
              number("0x290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563"));
    EXPECT_EQ(m.value_of(hash(0, 64)),
              number("0xad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"));
    // "abc", at an offset that is no multiple of anything.
    EXPECT_EQ(m.value_of(Code().mstore(5, shl(0x616263, 232)).append(hash(5, 3))),
              number("0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"));
}

TEST(Keccak256, SlotsOfMappings) {
    // The element 0 of a mapping in slot 1, and the element 1 of one in slot 0, asked for in turns:
    // what was hashed before does not matter.
    const U256 zero_one =
        number("0xa6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb49");
    const U256 one_zero =
        number("0xada5013122d395ba3c54772283fb069b10426056ef8ca54750cb9bb552a59e7d");
    Machine m;
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(m.value_of(hash_of_two(0, 1)), zero_one);
        EXPECT_EQ(m.value_of(hash_of_two(1, 0)), one_zero);
        EXPECT_EQ(m.value_of(hash_of_two(0, 0)),
                  number("0xad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"));
    }
}

TEST(Keccak256, PreimagesThatDifferInOneBitHaveDifferentHashes) {
    // Each twice and interleaved, in both words, so that a remembered hash of another one would
    // show.
    Machine m;
    for (int round = 0; round < 2; ++round) {
        for (uint64_t bit = 0; bit < 256; bit += 5) {
            const U256 flipped = shl(U256{1}, bit);
            for (const auto& [a, b] : {std::pair{flipped, U256{0}}, std::pair{U256{0}, flipped}}) {
                uint8_t preimage[64];
                store_be(a, preimage);
                store_be(b, preimage + 32);
                EXPECT_EQ(m.value_of(hash_of_two(a, b)),
                          to_u256(kernels::keccak256({preimage, 64})))
                    << bit;
            }
        }
    }
}

TEST(Keccak256, ReadsMemoryAsItIsNow) {
    Machine m;
    const Code c = Code()
                       .append(hash_of_two(1, 0))
                       .pop()
                       .push_all(0, 31)
                       .op(Opcode::mstore8)
                       .append(hash(0, 64));
    EXPECT_EQ(m.value_of(c),
              number("0xad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5"));
}

}  // namespace
}  // namespace millrace::evm
