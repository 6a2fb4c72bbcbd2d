// SPDX-License-Identifier: Apache-2.0
// Owns the properties of RLP: everything encoded is read back, and nothing else is read.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <utility>
#include <vector>

#include "host/base/rlp.hpp"

namespace millrace::rlp {
namespace {

/// An item in memory: a byte string, or a list of items.
struct Item {
    bool is_list = false;
    Bytes text;
    std::vector<Item> items;
    bool operator==(const Item&) const = default;
};

void showValue(const Item& item, std::ostream& out) {
    if (!item.is_list) {
        rc::show(item.text, out);
        return;
    }
    out << "{";
    for (const Item& i : item.items) {
        showValue(i, out);
        out << " ";
    }
    out << "}";
}

rc::Gen<uint8_t> byte() {
    return rc::gen::map(rc::gen::inRange(0, 256), [](int b) { return static_cast<uint8_t>(b); });
}

/// Lengths around the change of form, and the single bytes, are as likely as all others.
rc::Gen<Bytes> text() {
    return rc::gen::mapcat(rc::gen::oneOf(rc::gen::elementOf(std::vector<size_t>{0, 1, 1, 2, 54, 55,
                                                                                 56, 57, 255, 256}),
                                          rc::gen::inRange<size_t>(0, 80)),
                           [](size_t n) { return rc::gen::container<Bytes>(n, byte()); });
}

rc::Gen<Item> item(int depth) {
    auto leaf = rc::gen::map(text(), [](Bytes b) { return Item{false, std::move(b), {}}; });
    if (depth == 0) { return leaf; }
    auto node = rc::gen::mapcat(rc::gen::inRange<size_t>(0, 5), [depth](size_t n) {
        return rc::gen::map(rc::gen::container<std::vector<Item>>(n, item(depth - 1)),
                            [](std::vector<Item> v) { return Item{true, {}, std::move(v)}; });
    });
    return rc::gen::oneOf(leaf, node);
}

Bytes encoded(const Item& item) {
    if (!item.is_list) { return encode(item.text); }
    Bytes payload;
    for (const Item& i : item.items) {
        const Bytes e = encoded(i);
        payload.insert(payload.end(), e.begin(), e.end());
    }
    return list(payload);
}

Result<Item> decoded(Reader& r) {
    if (!r.next_is_list()) {
        MILLRACE_TRY(const ByteView b, r.bytes());
        return Item{false, Bytes(b.begin(), b.end()), {}};
    }
    MILLRACE_TRY(Reader inner, r.list());
    Item out{true, {}, {}};
    while (!inner.at_end()) {
        MILLRACE_TRY(Item i, decoded(inner));
        out.items.push_back(std::move(i));
    }
    return out;
}

RC_GTEST_PROP(RlpProperty, EveryTreeIsReadBack, ()) {
    const Item tree = *item(4);
    const Bytes wire = encoded(tree);
    Reader r{wire};
    const auto back = decoded(r);
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == tree);
    RC_ASSERT(r.at_end());
    if (tree.is_list) {
        RC_ASSERT((Reader{wire}.list()->count() == Result<size_t>(tree.items.size())));
    }
    const auto whole = Reader{wire}.raw_item();
    RC_ASSERT(whole.has_value() && whole->size() == wire.size());
}

RC_GTEST_PROP(RlpProperty, WhatIsAcceptedIsTheOnlyEncodingOfItsTree, ()) {
    Bytes wire = encoded(*item(3));
    // A few damaged bytes keep most of the structure, so that many mutants are still accepted.
    const auto damage = *rc::gen::container<std::vector<std::pair<size_t, uint8_t>>>(
        *rc::gen::inRange(0, 4), rc::gen::pair(rc::gen::inRange<size_t>(0, 4'096), byte()));
    for (const auto& [place, value] : damage) { wire[place % wire.size()] = value; }
    Reader r{wire};
    const auto tree = decoded(r);
    RC_CLASSIFY(tree.has_value());
    if (tree.has_value()) {
        const Bytes again = encoded(*tree);
        const size_t used = wire.size() - r.rest().size();
        RC_ASSERT(again == Bytes(wire.begin(), wire.begin() + static_cast<ptrdiff_t>(used)));
    }
}

RC_GTEST_PROP(RlpProperty, IntegersAreReadBack, (uint64_t small)) {
    const uint64_t shift = *rc::gen::inRange<uint64_t>(0, 256);
    const U256 v = shl(U256{small}, shift) ^ U256 { *rc::gen::arbitrary<uint64_t>() };
    const Bytes wire = encode(v);
    RC_ASSERT((Reader{wire}.u256() == Result<U256>(v)));
    const auto narrow = Reader{wire}.u64();
    RC_ASSERT(narrow.has_value() == v.fits_u64());
    if (narrow.has_value()) { RC_ASSERT(*narrow == v.low64()); }
    Bytes narrow_wire;
    append_u64(narrow_wire, small);
    RC_ASSERT(narrow_wire == encode(U256{small}));
}

}  // namespace
}  // namespace millrace::rlp
