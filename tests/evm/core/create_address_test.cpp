// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the addresses that CREATE and CREATE2 give.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(CreateAddress, KnownValues) {
    const Address sender = address_literal("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0");
    EXPECT_EQ(create_address(sender, 0),
              address_literal("0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"));
    EXPECT_EQ(create_address(sender, 1),
              address_literal("0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"));
    EXPECT_EQ(create_address(sender, 2),
              address_literal("0xf778b86fa74e846c4f0a1fbd1335fe81c00a0c91"));
    EXPECT_NE(create_address(sender, 127), create_address(sender, 128));
}

TEST(CreateAddress, ExamplesOfEip1014) {
    EXPECT_EQ(create2_address({}, 0, Bytes{0x00}),
              address_literal("0x4d1a2e2bb4f88f0250f26ffff098b0b30b26bf38"));
    EXPECT_EQ(create2_address(address_literal("0xdeadbeef00000000000000000000000000000000"), 0,
                              Bytes{0x00}),
              address_literal("0xb928f69bb1d91cd65274e3c79d8986362984fda3"));
    EXPECT_EQ(create2_address(address_literal("0x00000000000000000000000000000000deadbeef"),
                              0xcafebabe, from_hex("deadbeef").value()),
              address_literal("0x60f3f640a8508fc6a86d45df051962668e1e8ac7"));
    EXPECT_EQ(create2_address({}, 0, {}),
              address_literal("0xe33c0c7f7df4809055c3eba6c09cfe4baf1bd9e0"));
}

TEST(CreateAddress, OfNoncesAroundEveryLengthOfTheirEncoding) {
    // keccak(rlp([sender, nonce])), with the RLP written out: nonces from 0x80 on have a header.
    const auto by_hand = [](std::string_view nonce_rlp, uint8_t list) {
        Bytes b{list, 0x94};
        b.insert(b.end(), self_address.begin(), self_address.end());
        const Bytes n = from_hex(nonce_rlp).value();
        b.insert(b.end(), n.begin(), n.end());
        return Address::from(kernels::keccak256(b).view().subspan(12));
    };
    EXPECT_EQ(create_address(self_address, 0), by_hand("80", 0xd6));
    EXPECT_EQ(create_address(self_address, 1), by_hand("01", 0xd6));
    EXPECT_EQ(create_address(self_address, 0x7f), by_hand("7f", 0xd6));
    EXPECT_EQ(create_address(self_address, 0x80), by_hand("8180", 0xd7));
    EXPECT_EQ(create_address(self_address, 0xff), by_hand("81ff", 0xd7));
    EXPECT_EQ(create_address(self_address, 0x100), by_hand("820100", 0xd8));
    EXPECT_EQ(create_address(self_address, ~uint64_t{0} - 1), by_hand("88fffffffffffffffe", 0xde));
}

}  // namespace
}  // namespace millrace::evm
