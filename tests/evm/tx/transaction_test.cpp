// SPDX-License-Identifier: Apache-2.0
// Owns the tests of transaction decoding, encoding and hashing that need no files.
#include "evm/tx/transaction.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "tests/evm/tx/sample_transactions.hpp"

namespace millrace::evm {
namespace {

using test::all_types;
using test::filled;
using test::sample;
using ::testing::HasSubstr;

Bytes hex(std::string_view text) { return from_hex(text).value(); }

/// A transaction taken apart: the type byte, if any, and the encoded fields.
struct Parts {
    Bytes prefix;
    std::vector<Bytes> fields;

    explicit Parts(ByteView raw) {
        if (raw[0] < 0xc0) {
            prefix.push_back(raw[0]);
            raw = raw.subspan(1);
        }
        rlp::Reader reader = rlp::read_list(raw).value();
        while (!reader.at_end()) {
            const ByteView item = reader.raw_item().value();
            fields.emplace_back(item.begin(), item.end());
        }
    }
    Bytes join() const {
        Bytes payload;
        for (const Bytes& f : fields) { payload.insert(payload.end(), f.begin(), f.end()); }
        Bytes out = prefix;
        rlp::append_list(out, payload);
        return out;
    }
    Result<Transaction> decode_with(size_t field, Bytes replacement) const {
        Parts copy = *this;
        copy.fields.at(field) = std::move(replacement);
        return decode_transaction(copy.join());
    }
};

enum class FieldKind {
    integer64,
    integer256,
    flag,
    legacy_v,
    recipient,
    address,
    hash,
    data,
    list
};

/// The fields in the order in which the specifications list them.
std::vector<FieldKind> layout(TxType type) {
    using enum FieldKind;
    switch (type) {
        case TxType::legacy:
            return {integer64, integer256, integer64,  recipient, integer256,
                    data,      legacy_v,   integer256, integer256};
        case TxType::access_list:
            return {integer64, integer64, integer256, integer64,  recipient, integer256,
                    data,      list,      flag,       integer256, integer256};
        case TxType::dynamic_fee:
            return {integer64,  integer64, integer256, integer256, integer64,  recipient,
                    integer256, data,      list,       flag,       integer256, integer256};
        case TxType::blob:
            return {integer64, integer64,  integer256, integer256, integer64,
                    recipient, integer256, data,       list,       integer256,
                    list,      flag,       integer256, integer256};
        case TxType::set_code:
            return {integer64, integer64, integer256, integer256, integer64,  recipient, integer256,
                    data,      list,      list,       flag,       integer256, integer256};
        case TxType::deposit:
            return {hash, address, recipient, integer256, integer256, integer64, flag, data};
    }
    return {};
}

TEST(Transaction, LegacyExampleOfEip155) {
    Transaction tx;
    tx.chain_id = 1;
    tx.nonce = 9;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{20'000'000'000ull};
    tx.gas_limit = 21000;
    tx.to = address_literal("0x3535353535353535353535353535353535353535");
    tx.value = U256{1'000'000'000'000'000'000ull};
    EXPECT_EQ(to_hex(signing_hash(tx)),
              "0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53");
    tx.y_parity = 0;
    tx.r =
        u256_from_hex("0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276").value();
    tx.s =
        u256_from_hex("0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83").value();
    const Bytes raw = hex(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a7640000802"
        "5a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aec"
        "b703304b3800ccf555c9f3dc64214b297fb1966a3b6d83");
    EXPECT_EQ(to_hex(encode_transaction(tx)), to_hex(raw));
    EXPECT_EQ(decode_transaction(raw).value(), tx);
    EXPECT_TRUE(signature_values_valid(tx));
}

TEST(Transaction, SampleOfEveryTypeSurvivesEncoding) {
    for (const TxType type : all_types()) {
        const Transaction tx = sample(type);
        const Bytes raw = encode_transaction(tx);
        EXPECT_EQ(raw[0] < 0xc0 ? raw[0] : 0, static_cast<uint8_t>(type));
        const auto decoded = decode_transaction(raw);
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_EQ(*decoded, tx);
        EXPECT_EQ(Parts(raw).fields.size(), layout(type).size());
        EXPECT_EQ(to_hex(encode_transaction(*decoded)), to_hex(raw));
    }
}

TEST(Transaction, EveryPrefixOfAnEncodingIsRefused) {
    for (const TxType type : all_types()) {
        const Bytes raw = encode_transaction(sample(type));
        for (size_t n = 0; n < raw.size(); ++n) {
            EXPECT_FALSE(decode_transaction(ByteView(raw).first(n)));
        }
    }
}

TEST(Transaction, NothingMayFollow) {
    for (const TxType type : all_types()) {
        Bytes raw = encode_transaction(sample(type));
        raw.push_back(0);
        EXPECT_FALSE(decode_transaction(raw));
        Parts more(encode_transaction(sample(type)));
        more.fields.push_back({0x80});
        const auto decoded = decode_transaction(more.join());
        ASSERT_FALSE(decoded);
        EXPECT_THAT(decoded.error().message, HasSubstr("too many fields"));
    }
}

TEST(Transaction, EveryMissingFieldIsRefused) {
    for (const TxType type : all_types()) {
        const Parts parts(encode_transaction(sample(type)));
        for (size_t i = 0; i < parts.fields.size(); ++i) {
            Parts fewer = parts;
            fewer.fields.erase(fewer.fields.begin() + static_cast<ptrdiff_t>(i));
            EXPECT_FALSE(decode_transaction(fewer.join())) << int(type) << " field " << i;
        }
    }
}

TEST(Transaction, FieldsOfTheWrongShapeAreRefused) {
    using enum FieldKind;
    for (const TxType type : all_types()) {
        const Parts parts(encode_transaction(sample(type)));
        const auto kinds = layout(type);
        for (size_t i = 0; i < kinds.size(); ++i) {
            SCOPED_TRACE(to_hex(parts.prefix) + " field " + std::to_string(i));
            const FieldKind kind = kinds[i];
            // A list where a string belongs and the reverse.
            EXPECT_EQ(parts.decode_with(i, {0xc0}).has_value(), kind == list);
            // The empty string is zero, no recipient or no data.
            const bool empty_ok =
                kind == integer64 || kind == integer256 || kind == flag || kind == data ||
                (kind == recipient && type != TxType::blob && type != TxType::set_code);
            EXPECT_EQ(parts.decode_with(i, {0x80}).has_value(), empty_ok);
            // Zero as a byte, and other integers with leading zeros.
            EXPECT_EQ(parts.decode_with(i, {0x00}).has_value(), kind == data);
            EXPECT_EQ(parts.decode_with(i, {0x82, 0x00, 0x80}).has_value(), kind == data);
            // A byte below 0x80 with a header is never canonical.
            EXPECT_FALSE(parts.decode_with(i, {0x81, 0x01}));
            EXPECT_EQ(parts.decode_with(i, {0x02}).has_value(),
                      kind == integer64 || kind == integer256 || kind == data);
            Bytes nine{0x89, 1, 2, 3, 4, 5, 6, 7, 8, 9};
            // Legacy v holds a chain id of 64 bits and the parity.
            EXPECT_EQ(parts.decode_with(i, nine).has_value(),
                      kind == integer256 || kind == legacy_v || kind == data);
            Bytes thirty_three{0xa1};
            thirty_three.resize(34, 0x01);
            EXPECT_EQ(parts.decode_with(i, thirty_three).has_value(), kind == data);
            for (const size_t n : {19u, 20u, 21u, 31u, 32u}) {
                Bytes v{static_cast<uint8_t>(0x80 + n)};
                v.resize(n + 1, 0x01);
                const bool ok = kind == data || kind == integer256 ||
                                ((kind == recipient || kind == address) && n == 20) ||
                                (kind == hash && n == 32);
                EXPECT_EQ(parts.decode_with(i, v).has_value(), ok) << n;
            }
        }
    }
}

TEST(Transaction, LegacyVIsTwentySevenTwentyEightOrEip155) {
    const Parts parts(encode_transaction(sample(TxType::legacy)));
    for (unsigned v = 0; v < 300; ++v) {
        Bytes encoded;
        rlp::append_u64(encoded, v);
        const auto tx = parts.decode_with(6, encoded);
        ASSERT_EQ(tx.has_value(), v == 27 || v == 28 || v >= 35) << v;
        if (!tx) {
            EXPECT_THAT(tx.error().message, HasSubstr("'v' is " + std::to_string(v)));
            continue;
        }
        if (v < 35) {
            EXPECT_EQ(tx->chain_id, std::nullopt);
            EXPECT_EQ(tx->y_parity, v - 27);
        } else {
            EXPECT_EQ(tx->chain_id, (v - 35) / 2);
            EXPECT_EQ(tx->y_parity, (v - 35) % 2);
        }
        EXPECT_EQ(Parts(encode_transaction(*tx)).fields[6], encoded);
    }
}

TEST(Transaction, LegacyChainIdMayFillButNotExceedSixtyFourBits) {
    Transaction tx = sample(TxType::legacy);
    tx.chain_id = ~0ull;
    const Bytes raw = encode_transaction(tx);
    EXPECT_EQ(decode_transaction(raw).value(), tx);
    Bytes v;
    rlp::append_u256(v, shl(U256{1}, 65) + U256{35});
    const auto over = Parts(raw).decode_with(6, v);
    ASSERT_FALSE(over);
    EXPECT_THAT(over.error().message, HasSubstr("chain id above 64 bits"));
}

TEST(Transaction, UnprotectedLegacySignsSixFields) {
    Transaction tx = sample(TxType::legacy);
    const Hash256 protected_hash = signing_hash(tx);
    tx.chain_id.reset();
    EXPECT_NE(signing_hash(tx), protected_hash);
    EXPECT_EQ(decode_transaction(encode_transaction(tx)).value(), tx);
}

TEST(Transaction, UnknownTypesAreNamed) {
    for (unsigned type = 0; type < 0xc0; ++type) {
        if (type != 0 && (type <= 4 || type == 0x7e)) { continue; }
        const Bytes raw{static_cast<uint8_t>(type), 0xc0};
        const auto tx = decode_transaction(raw);
        ASSERT_FALSE(tx);
        EXPECT_THAT(tx.error().message, HasSubstr("type " + to_hex(ByteView(raw).first(1))));
    }
}

TEST(Transaction, NetworkFormOfABlobTransactionHasItsOwnMessage) {
    const Bytes canonical = encode_transaction(sample(TxType::blob));
    Bytes payload(canonical.begin() + 1, canonical.end());
    payload.insert(payload.end(), {0xc0, 0xc0, 0xc0});
    Bytes raw{0x03};
    rlp::append_list(raw, payload);
    const auto tx = decode_transaction(raw);
    ASSERT_FALSE(tx);
    EXPECT_THAT(tx.error().message, HasSubstr("sidecar"));
}

TEST(Transaction, SystemDepositsAreRefused) {
    const Parts parts(encode_transaction(sample(TxType::deposit)));
    const auto tx = parts.decode_with(6, {0x01});
    ASSERT_FALSE(tx);
    EXPECT_THAT(tx.error().message, HasSubstr("system deposits"));
}

TEST(Transaction, NestedErrorsNameTheItem) {
    Parts parts(encode_transaction(sample(TxType::dynamic_fee)));
    // The second entry has an address of one byte.
    const Bytes good = hex("d6942122232425262728292a2b2c2d2e2f3031323334c0");
    Bytes list(good);
    list.insert(list.end(), {0xc2, 0x05, 0xc0});
    const auto tx = parts.decode_with(8, rlp::list(list));
    ASSERT_FALSE(tx);
    EXPECT_THAT(tx.error().message, HasSubstr("'access_list': item 1: access list entry"));
    EXPECT_THAT(tx.error().message, HasSubstr("'address'"));
}

TEST(Transaction, NestedListsAreStrict) {
    const Parts parts(encode_transaction(sample(TxType::set_code)));
    const std::string address = "942122232425262728292a2b2c2d2e2f3031323334";
    const auto authorization = [&](const std::string& fields) {
        return parts.decode_with(9, rlp::list(rlp::list(hex(fields)))).has_value();
    };
    EXPECT_TRUE(authorization("80" + address + "80808080"));
    EXPECT_TRUE(authorization("80" + address + "8081ff8080"));
    EXPECT_FALSE(authorization("80" + address + "808201008080"));                // y_parity 256
    EXPECT_FALSE(authorization("80" + address + "89010203040506070809808080"));  // nonce of 9 bytes
    EXPECT_FALSE(authorization("80" + address + "808080"));
    EXPECT_FALSE(authorization("80" + address + "8080808080"));
    EXPECT_FALSE(authorization("80" + address + "00808080"));
    const auto entry = [&](const std::string& fields) {
        return parts.decode_with(8, rlp::list(rlp::list(hex(fields)))).has_value();
    };
    EXPECT_TRUE(entry(address + "c0"));
    EXPECT_FALSE(entry(address + "80"));
    EXPECT_FALSE(entry(address + "c0c0"));
    EXPECT_FALSE(entry(address + "c101"));
    EXPECT_FALSE(entry(address));
}

TEST(Transaction, HostileCountsDoNotReserveMemory) {
    // A million empty lists where access list entries belong: refused at the first of them.
    const Parts parts(encode_transaction(sample(TxType::access_list)));
    const auto tx = parts.decode_with(7, rlp::list(Bytes(1'000'000, 0xc0)));
    ASSERT_FALSE(tx);
    EXPECT_THAT(tx.error().message, HasSubstr("item 0"));
}

TEST(Transaction, SigningHashIsThatOfTheFieldsBeforeTheSignature) {
    for (const TxType type :
         {TxType::access_list, TxType::dynamic_fee, TxType::blob, TxType::set_code}) {
        Transaction tx = sample(type);
        const Hash256 before = signing_hash(tx);
        tx.r = U256{77};
        tx.s = U256{78};
        tx.y_parity = 0;
        EXPECT_EQ(signing_hash(tx), before);
        tx.nonce ^= 1;
        EXPECT_NE(signing_hash(tx), before);
    }
}

TEST(Transaction, SignatureRangeFollowsEip2) {
    const U256 order =
        u256_from_hex("0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").value();
    const U256 half =
        u256_from_hex("0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0").value();
    Transaction tx = sample(TxType::dynamic_fee);
    const auto valid = [&](const U256& r, const U256& s, bool allow_high_s = false) {
        tx.r = r;
        tx.s = s;
        return signature_values_valid(tx, allow_high_s);
    };
    EXPECT_TRUE(valid(U256{1}, U256{1}));
    EXPECT_FALSE(valid(U256{}, U256{1}));
    EXPECT_FALSE(valid(U256{1}, U256{}));
    EXPECT_TRUE(valid(order - U256{1}, half));
    EXPECT_FALSE(valid(order, half));
    EXPECT_FALSE(valid(U256{1}, half + U256{1}));
    EXPECT_TRUE(valid(U256{1}, half + U256{1}, true));
    EXPECT_TRUE(valid(U256{1}, order - U256{1}, true));
    EXPECT_FALSE(valid(U256{1}, order, true));
    tx.y_parity = 2;
    EXPECT_FALSE(valid(U256{1}, U256{1}));
    EXPECT_TRUE(signature_values_valid(sample(TxType::deposit)));
}

}  // namespace
}  // namespace millrace::evm
