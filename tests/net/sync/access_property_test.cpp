// SPDX-License-Identifier: Apache-2.0
// Owns the properties of the access codec over generated and over damaged input.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include "net/sync/access_codec.hpp"
#include "tests/net/sync/random_access.hpp"

namespace millrace::sync {
namespace {

using namespace test;

RC_GTEST_PROP(AccessCodecProperty, BuiltAccessesComeBack, ()) {
    const auto seed = *rc::gen::arbitrary<uint64_t>();
    const auto count = *rc::gen::inRange<uint32_t>(1, 40);
    const auto accounts = *rc::gen::inRange<uint32_t>(1, 20);
    const auto accesses = random_accesses(seed, count, accounts);
    AccessBuilder builder;
    for (const OwnedAccess& t : accesses) { builder.add(t.view()); }
    MiniBlockAccess m;
    builder.finish(random_header(seed), m);
    RC_ASSERT(m == plain_access(random_header(seed), accesses));
    Bytes bytes;
    RC_ASSERT(encode_access(m, bytes).has_value());
    MiniBlockAccess back;
    RC_ASSERT(decode_access(bytes, back).has_value());
    RC_ASSERT(back == m);
}

RC_GTEST_PROP(AccessCodecProperty, DamagedEncodingsAreRefusedOrCanonical, ()) {
    const auto seed = *rc::gen::arbitrary<uint64_t>();
    Bytes bytes;
    RC_ASSERT(encode_access(plain_access(random_header(seed), random_accesses(seed, 6, 4)), bytes)
                  .has_value());
    for (int damage = *rc::gen::inRange(1, 4); damage > 0; --damage) {
        const auto at = *rc::gen::inRange<size_t>(0, bytes.size());
        switch (*rc::gen::inRange(0, 3)) {
            case 0: bytes[at] = *rc::gen::arbitrary<uint8_t>(); break;
            case 1: bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at)); break;
            default: bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), uint8_t{0x80});
        }
    }
    MiniBlockAccess m;
    if (!decode_access(bytes, m).has_value()) { return; }
    RC_ASSERT(check_canonical(m).has_value());
    Bytes again;
    RC_ASSERT(encode_access(m, again).has_value());
    RC_ASSERT(again == bytes);
}

}  // namespace
}  // namespace millrace::sync
