// SPDX-License-Identifier: Apache-2.0
// Owns writing and reading the encoding of MiniBlockAccess.
#include "net/sync/access_codec.hpp"

#include <algorithm>
#include <string>

namespace millrace::sync {
namespace {

constexpr uint8_t version = 1;

enum Section : uint8_t {
    section_nonces = 8,
    section_balances = 16,
    section_codes = 32,
    section_changed_slots = 64,
    section_read_slots = 128,
};

// --- Writing ---

class Writer {
public:
    explicit Writer(Bytes& out) noexcept : out_(out) {}

    void byte(uint8_t b) { *room(1) = b; }
    void bytes(ByteView b) {
        if (!b.empty()) { std::memcpy(room(b.size()), b.data(), b.size()); }
    }
    void varint(uint64_t v) {
        uint8_t* const begin = room(10);
        uint8_t* p = begin;
        while (v >= 0x80) {
            *p++ = static_cast<uint8_t>(v | 0x80);
            v >>= 7;
        }
        *p++ = static_cast<uint8_t>(v);
        used_ -= 10 - static_cast<size_t>(p - begin);
    }
    void value(const U256& v) {
        uint8_t be[32];
        store_be(v, be);
        const unsigned n = byte_length(v);
        uint8_t* p = room(1 + n);
        *p = static_cast<uint8_t>(n);
        std::memcpy(p + 1, be + 32 - n, n);
    }
    void begin() noexcept { used_ = out_.size(); }
    size_t used() const noexcept { return used_; }
    void end(size_t size) { out_.resize(size); }

private:
    uint8_t* room(size_t n) {
        if (out_.size() - used_ < n) { out_.resize(std::max(2 * out_.size(), used_ + n + 4096)); }
        uint8_t* p = out_.data() + used_;
        used_ += n;
        return p;
    }
    Bytes& out_;
    size_t used_ = 0;
};

/// Positions of one list, each as its distance from the one before.
struct Positions {
    uint32_t next = 0;
    uint32_t distance(uint32_t transaction) noexcept {
        const uint32_t d = transaction - next;
        next = transaction + 1;
        return d;
    }
};

void write_header(const AccessHeader& h, Writer& w) {
    w.byte(version);
    w.varint(h.mini_block_number);
    w.varint(h.environment.block_number);
    w.varint(h.environment.timestamp_s);
    w.varint(h.environment.gas_limit);
    w.value(h.environment.base_fee_per_gas);
    w.bytes(h.environment.coinbase.view());
    w.bytes(h.environment.prev_randao.view());
    w.varint(h.first_transaction_index);
    w.varint(h.gas_used_before);
    w.bytes(h.transactions_digest.view());
    w.bytes(h.receipts_digest.view());
}

void write_transactions(const MiniBlockAccess& m, Writer& w) {
    w.varint(m.transactions.size());
    for (size_t i = 0; i < m.transactions.size(); ++i) {
        const TransactionOutcome& t = m.transactions[i];
        w.varint(t.gas_used << 1 | (t.success ? 1 : 0));
        const auto dependencies = m.dependencies_of(i);
        w.varint(dependencies.size());
        uint32_t last = 0;
        for (const uint32_t back : dependencies) {
            w.varint(back - last - 1);
            last = back;
        }
    }
}

template <class Change, class WriteValue>
void write_changes(std::span<const Change> changes, Writer& w, WriteValue&& write_value) {
    w.varint(changes.size() - 1);
    Positions positions;
    for (const Change& c : changes) {
        w.varint(positions.distance(c.transaction));
        write_value(c);
    }
}

void write_account(const MiniBlockAccess& m, size_t a, Writer& w) {
    const auto nonces = m.nonce_changes_of(a);
    const auto balances = m.balance_changes_of(a);
    const auto codes = m.code_changes_of(a);
    const auto changed = m.changed_slots_of(a);
    const auto read = m.read_slots_of(a);
    w.bytes(m.accounts[a].address.view());
    w.byte(static_cast<uint8_t>(
        m.accounts[a].reads | (nonces.empty() ? 0 : section_nonces) |
        (balances.empty() ? 0 : section_balances) | (codes.empty() ? 0 : section_codes) |
        (changed.empty() ? 0 : section_changed_slots) | (read.empty() ? 0 : section_read_slots)));
    if (!nonces.empty()) {
        write_changes(nonces, w, [&](const NonceChange& c) { w.varint(c.nonce); });
    }
    if (!balances.empty()) {
        write_changes(balances, w, [&](const BalanceChange& c) { w.value(c.balance); });
    }
    if (!codes.empty()) {
        write_changes(codes, w, [&](const CodeChange& c) {
            w.varint(c.code == nullptr ? 0 : c.code->size());
            if (c.code != nullptr) { w.bytes(*c.code); }
        });
    }
    if (!changed.empty()) {
        w.varint(changed.size() - 1);
        const size_t first = m.first_changed_slot(a);
        for (size_t s = 0; s < changed.size(); ++s) {
            w.value(changed[s].key);
            write_changes(m.storage_changes_of(first + s), w,
                          [&](const StorageChange& c) { w.value(c.value); });
        }
    }
    if (!read.empty()) {
        w.varint(read.size() - 1);
        for (const U256& key : read) { w.value(key); }
    }
}

// --- Reading ---

/// A cursor that remembers its first fault; after it, everything reads as nothing.
class Reader {
public:
    explicit Reader(ByteView data) noexcept : data_(data) {}

    bool ok() const noexcept { return why_ == nullptr; }
    bool refuse(const char* why) noexcept {
        if (why_ == nullptr) {
            why_ = why;
            fault_at_ = at_;
        }
        return false;
    }
    std::unexpected<Error> error() const {
        return fail(ErrorCode::invalid_input, "mini-block access: " + std::string(why_) +
                                                  " at byte " + std::to_string(fault_at_));
    }
    size_t left() const noexcept { return data_.size() - at_; }

    bool byte(uint8_t& out) noexcept {
        if (!ok() || left() == 0) { return refuse("ends too early"); }
        out = data_[at_++];
        return true;
    }
    bool bytes(size_t n, ByteView& out) noexcept {
        if (!ok() || left() < n) { return refuse("ends too early"); }
        out = data_.subspan(at_, n);
        at_ += n;
        return true;
    }
    template <size_t N>
    bool fixed(FixedBytes<N>& out) noexcept {
        ByteView b;
        if (!bytes(N, b)) { return false; }
        std::memcpy(out.data(), b.data(), N);
        return true;
    }
    bool varint(uint64_t& out) noexcept {
        if (!ok()) { return false; }
        out = 0;
        for (unsigned shift = 0; left() != 0; shift += 7) {
            const uint8_t b = data_[at_++];
            if (shift == 63 && b > 1) { return refuse("a number beyond 64 bits"); }
            out |= static_cast<uint64_t>(b & 0x7f) << shift;
            if ((b & 0x80) == 0) {
                return b != 0 || shift == 0 || refuse("a number not in its shortest form");
            }
        }
        return refuse("ends too early");
    }
    bool value(U256& out) noexcept {
        uint8_t n = 0;
        ByteView b;
        if (!byte(n)) { return false; }
        if (n > 32) { return refuse("a value beyond 256 bits"); }
        if (!bytes(n, b)) { return false; }
        if (n != 0 && b[0] == 0) { return refuse("a value not in its shortest form"); }
        uint8_t be[32] = {};
        if (n != 0) { std::memcpy(be + 32 - n, b.data(), n); }
        out = load_be(be);
        return true;
    }
    /// How many items follow that take `item_bytes_min` each; no room is made for them.
    bool count(size_t item_bytes_min, uint64_t& out) noexcept {
        if (!varint(out)) { return false; }
        return out <= left() / item_bytes_min || refuse("a count beyond what follows");
    }
    /// The same, written less one.
    bool count_less_one(size_t item_bytes_min, uint64_t& out) noexcept {
        if (!varint(out)) { return false; }
        if (out >= left() / item_bytes_min) { return refuse("a count beyond what follows"); }
        ++out;
        return true;
    }
    bool position(Positions& positions, size_t transaction_count, uint32_t& out) noexcept {
        uint64_t d = 0;
        if (!varint(d)) { return false; }
        if (d >= transaction_count - positions.next) { return refuse("a position too high"); }
        out = positions.next + static_cast<uint32_t>(d);
        positions.next = out + 1;
        return true;
    }

private:
    ByteView data_;
    size_t at_ = 0;
    const char* why_ = nullptr;
    size_t fault_at_ = 0;
};

bool read_header(Reader& r, AccessHeader& h) {
    uint8_t v = 0;
    if (!r.byte(v)) { return false; }
    if (v != version) { return r.refuse("a version that is not known (this node reads 1)"); }
    return r.varint(h.mini_block_number) && r.varint(h.environment.block_number) &&
           r.varint(h.environment.timestamp_s) && r.varint(h.environment.gas_limit) &&
           r.value(h.environment.base_fee_per_gas) && r.fixed(h.environment.coinbase) &&
           r.fixed(h.environment.prev_randao) && r.varint(h.first_transaction_index) &&
           r.varint(h.gas_used_before) && r.fixed(h.transactions_digest) &&
           r.fixed(h.receipts_digest);
}

bool read_transactions(Reader& r, MiniBlockAccess& m) {
    uint64_t count = 0;
    if (!r.count(2, count)) { return false; }
    if (count == 0) { return r.refuse("no transactions"); }
    if (count > transactions_max) { return r.refuse("too many transactions"); }
    for (uint64_t i = 0; i < count; ++i) {
        uint64_t outcome = 0;
        uint64_t dependency_count = 0;
        if (!r.varint(outcome) || !r.count(1, dependency_count)) { return false; }
        uint64_t back = 0;
        for (uint64_t k = 0; k < dependency_count; ++k) {
            uint64_t further = 0;
            if (!r.varint(further)) { return false; }
            if (further >= i - back) { return r.refuse("a dependency before the mini-block"); }
            back += further + 1;
            m.dependencies.push_back(static_cast<uint32_t>(back));
        }
        m.transactions.push_back(
            {outcome >> 1, (outcome & 1) != 0, static_cast<uint32_t>(m.dependencies.size())});
    }
    return true;
}

template <class Change, class ReadValue>
bool read_changes(Reader& r, size_t transaction_count, std::vector<Change>& out,
                  ReadValue&& read_value) {
    uint64_t count = 0;
    if (!r.count_less_one(2, count)) { return false; }
    Positions positions;
    for (uint64_t k = 0; k < count; ++k) {
        Change c;
        if (!r.position(positions, transaction_count, c.transaction) || !read_value(c)) {
            return false;
        }
        out.push_back(std::move(c));
    }
    return true;
}

bool read_code(Reader& r, CodeChange& c) {
    uint64_t size = 0;
    ByteView code;
    if (!r.count(1, size) || !r.bytes(size, code)) { return false; }
    if (size != 0) { c.code = std::make_shared<const Bytes>(code.begin(), code.end()); }
    return true;
}

bool read_changed_slots(Reader& r, size_t transaction_count, MiniBlockAccess& m) {
    uint64_t count = 0;
    if (!r.count_less_one(4, count)) { return false; }
    for (uint64_t s = 0; s < count; ++s) {
        ChangedSlot slot;
        if (!r.value(slot.key)) { return false; }
        if (s != 0 && slot.key <= m.changed_slots.back().key) {
            return r.refuse("changed slots not ascending");
        }
        if (!read_changes(r, transaction_count, m.storage_changes,
                          [&](StorageChange& c) { return r.value(c.value); })) {
            return false;
        }
        slot.changes_end = static_cast<uint32_t>(m.storage_changes.size());
        m.changed_slots.push_back(slot);
    }
    return true;
}

bool read_read_slots(Reader& r, size_t first_changed, MiniBlockAccess& m) {
    uint64_t count = 0;
    if (!r.count_less_one(1, count)) { return false; }
    size_t changed = first_changed;
    for (uint64_t s = 0; s < count; ++s) {
        U256 key;
        if (!r.value(key)) { return false; }
        if (s != 0 && key <= m.read_slots.back()) { return r.refuse("read slots not ascending"); }
        while (changed < m.changed_slots.size() && m.changed_slots[changed].key < key) {
            ++changed;
        }
        if (changed < m.changed_slots.size() && m.changed_slots[changed].key == key) {
            return r.refuse("a slot both read and changed");
        }
        m.read_slots.push_back(key);
    }
    return true;
}

bool read_account(Reader& r, MiniBlockAccess& m) {
    const size_t transaction_count = m.transactions.size();
    AccountAccess a;
    uint8_t sections = 0;
    if (!r.fixed(a.address) || !r.byte(sections)) { return false; }
    if (!m.accounts.empty() && a.address <= m.accounts.back().address) {
        return r.refuse("accounts not ascending");
    }
    if (sections == 0) { return r.refuse("an account without entries"); }
    a.reads = sections & 7;
    if ((a.reads & sections >> 3) != 0) { return r.refuse("a field both read and changed"); }
    if ((sections & section_nonces) != 0 &&
        !read_changes(r, transaction_count, m.nonce_changes,
                      [&](NonceChange& c) { return r.varint(c.nonce); })) {
        return false;
    }
    if ((sections & section_balances) != 0 &&
        !read_changes(r, transaction_count, m.balance_changes,
                      [&](BalanceChange& c) { return r.value(c.balance); })) {
        return false;
    }
    if ((sections & section_codes) != 0 &&
        !read_changes(r, transaction_count, m.code_changes,
                      [&](CodeChange& c) { return read_code(r, c); })) {
        return false;
    }
    const size_t first_changed = m.changed_slots.size();
    if ((sections & section_changed_slots) != 0 && !read_changed_slots(r, transaction_count, m)) {
        return false;
    }
    if ((sections & section_read_slots) != 0 && !read_read_slots(r, first_changed, m)) {
        return false;
    }
    a.nonce_changes_end = static_cast<uint32_t>(m.nonce_changes.size());
    a.balance_changes_end = static_cast<uint32_t>(m.balance_changes.size());
    a.code_changes_end = static_cast<uint32_t>(m.code_changes.size());
    a.changed_slots_end = static_cast<uint32_t>(m.changed_slots.size());
    a.read_slots_end = static_cast<uint32_t>(m.read_slots.size());
    m.accounts.push_back(a);
    return true;
}

bool read_all(Reader& r, MiniBlockAccess& m) {
    uint64_t account_count = 0;
    constexpr size_t account_bytes_min = 21;
    if (!read_header(r, m.header) || !read_transactions(r, m) ||
        !r.count(account_bytes_min, account_count)) {
        return false;
    }
    for (uint64_t a = 0; a < account_count; ++a) {
        if (!read_account(r, m)) { return false; }
    }
    return r.left() == 0 || r.refuse("something follows the end");
}

}  // namespace

Result<void> encode_access(const MiniBlockAccess& access, Bytes& out) {
    MILLRACE_CHECK(check_canonical(access));
    const size_t before = out.size();
    Writer w(out);
    w.begin();
    write_header(access.header, w);
    write_transactions(access, w);
    w.varint(access.accounts.size());
    for (size_t a = 0; a < access.accounts.size() && w.used() - before <= access_bytes_max; ++a) {
        write_account(access, a, w);
    }
    const size_t size = w.used() - before;
    if (size > access_bytes_max) {
        w.end(before);
        return fail(ErrorCode::limit, "mini-block access: takes more than " +
                                          std::to_string(access_bytes_max) +
                                          " bytes; cut mini-blocks earlier");
    }
    w.end(before + size);
    return {};
}

Result<void> decode_access(ByteView data, MiniBlockAccess& out) {
    out.clear();
    if (data.size() > access_bytes_max) {
        return fail(ErrorCode::limit, "mini-block access: " + std::to_string(data.size()) +
                                          " bytes are more than " +
                                          std::to_string(access_bytes_max));
    }
    Reader r(data);
    if (!read_all(r, out)) { return r.error(); }
    return {};
}

}  // namespace millrace::sync
