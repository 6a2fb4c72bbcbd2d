// SPDX-License-Identifier: Apache-2.0
// Owns order, merging and encoding of state deltas.
#include "storage/state/state_delta.hpp"

#include <algorithm>
#include <tuple>

#include "storage/detail/codec.hpp"

namespace millrace::storage {
namespace {

constexpr uint8_t flag_deleted = 1;
constexpr uint8_t flag_storage_wiped = 2;
constexpr uint8_t flag_has_incarnation = 4;
constexpr size_t account_bytes_min = 21;
constexpr size_t slot_group_bytes_min = 24;
constexpr size_t slot_bytes_min = 2;
constexpr size_t code_bytes_min = 36;

auto slot_order(const SlotDelta& s) { return std::tie(s.address, s.key); }

template <class T, class Key>
bool strictly_ascending(const std::vector<T>& items, Key key) noexcept {
    return std::adjacent_find(items.begin(), items.end(), [&](const T& a, const T& b) {
               return !(key(a) < key(b));
           }) == items.end();
}

const auto account_key = [](const AccountDelta& a) -> const Address& { return a.address; };
const auto slot_key = [](const SlotDelta& s) { return slot_order(s); };
const auto code_key = [](const CodeDelta& c) -> const Hash256& { return c.hash; };

/// Whether some slot with a value belongs to an account that the delta deletes.
bool writes_deleted_account(const StateDelta& d) noexcept {
    auto account = d.accounts.begin();
    for (const SlotDelta& s : d.slots) {
        while (account != d.accounts.end() && account->address < s.address) { ++account; }
        if (account != d.accounts.end() && account->address == s.address && account->deleted &&
            !s.value.is_zero()) {
            return true;
        }
    }
    return false;
}

/// Union of two sorted lists; on equal keys the item of `second` wins.
template <class T, class Key>
std::vector<T> union_of(const std::vector<T>& first, const std::vector<T>& second, Key key) {
    std::vector<T> out;
    out.reserve(first.size() + second.size());
    auto a = first.begin();
    auto b = second.begin();
    while (a != first.end() || b != second.end()) {
        if (b == second.end() || (a != first.end() && key(*a) < key(*b))) {
            out.push_back(*a++);
            continue;
        }
        if (a != first.end() && !(key(*b) < key(*a))) { ++a; }
        out.push_back(*b++);
    }
    return out;
}

void encode_account(detail::Writer& w, const AccountDelta& a) {
    w.fixed(a.address);
    w.u8(static_cast<uint8_t>((a.deleted ? flag_deleted : 0) |
                              (a.storage_wiped ? flag_storage_wiped : 0) |
                              (a.incarnation != 0 ? flag_has_incarnation : 0)));
    if (a.incarnation != 0) { w.u64(a.incarnation); }
    if (!a.deleted) {
        w.u64(a.nonce);
        w.u256(a.balance);
        w.fixed(a.code_hash);
    }
}

Result<AccountDelta> decode_account(detail::Reader& r) {
    AccountDelta a;
    MILLRACE_TRY(a.address, r.address());
    MILLRACE_TRY(const uint8_t flags, r.u8());
    if ((flags & ~(flag_deleted | flag_storage_wiped | flag_has_incarnation)) != 0) {
        return r.bad("unknown account flags " + std::to_string(flags));
    }
    a.deleted = (flags & flag_deleted) != 0;
    a.storage_wiped = (flags & flag_storage_wiped) != 0;
    if ((flags & flag_has_incarnation) != 0) {
        MILLRACE_TRY(a.incarnation, r.u64());
        if (a.incarnation == 0) { return r.bad("an incarnation of zero is written out"); }
    }
    if (!a.deleted) {
        MILLRACE_TRY(a.nonce, r.u64());
        MILLRACE_TRY(a.balance, r.u256());
        MILLRACE_TRY(a.code_hash, r.hash());
    }
    return a;
}

/// Slots are grouped by account: the address is written once.
void encode_slots(detail::Writer& w, const std::vector<SlotDelta>& slots) {
    size_t groups = 0;
    for (size_t i = 0; i < slots.size(); ++i) {
        groups += i == 0 || slots[i].address != slots[i - 1].address ? 1 : 0;
    }
    w.count(groups);
    for (size_t i = 0; i < slots.size();) {
        size_t end = i;
        while (end < slots.size() && slots[end].address == slots[i].address) { ++end; }
        w.fixed(slots[i].address);
        w.count(end - i);
        for (; i < end; ++i) {
            w.u256(slots[i].key);
            w.u256(slots[i].value);
        }
    }
}

Result<void> decode_slots(detail::Reader& r, std::vector<SlotDelta>& slots) {
    MILLRACE_TRY(const size_t groups, r.count(slot_group_bytes_min));
    for (size_t g = 0; g < groups; ++g) {
        MILLRACE_TRY(const Address address, r.address());
        if (!slots.empty() && !(slots.back().address < address)) {
            return r.bad("storage groups are not in ascending order");
        }
        MILLRACE_TRY(const size_t count, r.count(slot_bytes_min));
        if (count == 0) { return r.bad("an empty storage group"); }
        for (size_t i = 0; i < count; ++i) {
            SlotDelta s{address, {}, {}};
            MILLRACE_TRY(s.key, r.u256());
            MILLRACE_TRY(s.value, r.u256());
            if (i != 0 && !(slots.back().key < s.key)) {
                return r.bad("slots are not in ascending order");
            }
            slots.push_back(s);
        }
    }
    return {};
}

}  // namespace

bool CodeDelta::operator==(const CodeDelta& o) const {
    return hash == o.hash &&
           (code == o.code || (code != nullptr && o.code != nullptr && *code == *o.code));
}

bool StateDelta::is_canonical() const noexcept {
    return strictly_ascending(accounts, account_key) && strictly_ascending(slots, slot_key) &&
           strictly_ascending(codes, code_key) && !writes_deleted_account(*this) &&
           std::all_of(codes.begin(), codes.end(),
                       [](const CodeDelta& c) { return c.code != nullptr; });
}

void StateDelta::sort() {
    std::sort(accounts.begin(), accounts.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
    std::sort(slots.begin(), slots.end(),
              [](const auto& a, const auto& b) { return slot_order(a) < slot_order(b); });
    std::sort(codes.begin(), codes.end(),
              [](const auto& a, const auto& b) { return a.hash < b.hash; });
    MILLRACE_ASSERT(is_canonical(), "a delta names each key once and no slot of the deleted");
}

StateDelta merge(const StateDelta& first, const StateDelta& second) {
    StateDelta out;
    out.codes = union_of(first.codes, second.codes, code_key);
    out.accounts = union_of(first.accounts, second.accounts, account_key);
    // A wipe in `first` still counts for what lay below it, unless `second` deletes the account.
    auto it = out.accounts.begin();
    for (const AccountDelta& a : first.accounts) {
        while (it->address != a.address) { ++it; }
        if (!it->deleted) { it->storage_wiped |= a.storage_wiped || a.deleted; }
    }
    // Slots of `first` that `second` wiped are gone.
    std::vector<SlotDelta> kept;
    const std::vector<SlotDelta>* base = &first.slots;
    const bool wipes =
        std::any_of(second.accounts.begin(), second.accounts.end(),
                    [](const AccountDelta& a) { return a.deleted || a.storage_wiped; });
    if (wipes) {
        auto account = second.accounts.begin();
        for (const SlotDelta& s : first.slots) {
            while (account != second.accounts.end() && account->address < s.address) { ++account; }
            const bool gone = account != second.accounts.end() && account->address == s.address &&
                              (account->deleted || account->storage_wiped);
            if (!gone) { kept.push_back(s); }
        }
        base = &kept;
    }
    out.slots = union_of(*base, second.slots, slot_key);
    return out;
}

void encode_state_delta(const StateDelta& delta, Bytes& out) {
    MILLRACE_ASSERT(delta.is_canonical(), "only canonical deltas are encoded: call sort()");
    detail::Writer w{out};
    w.count(delta.accounts.size());
    for (const AccountDelta& a : delta.accounts) { encode_account(w, a); }
    encode_slots(w, delta.slots);
    w.count(delta.codes.size());
    for (const CodeDelta& c : delta.codes) {
        w.fixed(c.hash);
        w.bytes(*c.code);
    }
}

Result<StateDelta> decode_state_delta(ByteView data) {
    detail::Reader r{data, "state delta"};
    StateDelta d;
    MILLRACE_TRY(const size_t accounts, r.count(account_bytes_min));
    d.accounts.reserve(accounts);
    for (size_t i = 0; i < accounts; ++i) {
        MILLRACE_TRY(AccountDelta a, decode_account(r));
        if (i != 0 && !(d.accounts.back().address < a.address)) {
            return r.bad("accounts are not in ascending order");
        }
        d.accounts.push_back(a);
    }
    MILLRACE_CHECK(decode_slots(r, d.slots));
    if (writes_deleted_account(d)) {
        return r.bad("a slot has a value although its account is deleted");
    }
    MILLRACE_TRY(const size_t codes, r.count(code_bytes_min));
    d.codes.reserve(codes);
    for (size_t i = 0; i < codes; ++i) {
        CodeDelta c;
        MILLRACE_TRY(c.hash, r.hash());
        if (i != 0 && !(d.codes.back().hash < c.hash)) {
            return r.bad("codes are not in ascending order");
        }
        MILLRACE_TRY(Bytes code, r.owned_bytes());
        c.code = std::make_shared<const Bytes>(std::move(code));
        d.codes.push_back(std::move(c));
    }
    MILLRACE_CHECK(r.end());
    return d;
}

}  // namespace millrace::storage
