// SPDX-License-Identifier: Apache-2.0
// Owns code prepared for execution (padding, jump destinations, EIP-7702 designation) and its
// cache.
#pragma once

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>

#include "evm/core/state_view.hpp"
#include "host/base/types.hpp"

namespace millrace::evm {

/// The check that stands before a run: a straight piece of code whose instructions have a fixed
/// price. Gas and stack are checked once for all of them.
struct RunCheck {
    uint32_t gas = 0;
    uint16_t need_bytes = 0;          ///< height of the stack that must be there, in bytes
    uint16_t room_bytes = 1024 * 32;  ///< the height may exceed need_bytes by at most this
};

class NativeTier;

/// What a tier above the interpreter keeps of one code. It counts the AnalyzedCodes that point to
/// it: machine code goes only when nobody can enter it any more.
class NativeCode {
public:
    virtual void release() const noexcept = 0;

protected:
    ~NativeCode() = default;
};

/// Code that the interpreter can run; shareable between threads. Jump destinations are found at
/// once. Run checks take several times as long, so they are only made for code that is used: work
/// that a call does not pay for by its gas must not be had by calling large code once
/// (evm/README.md, worst cases).
class AnalyzedCode {
public:
    /// Run checks are made after about `uses_until_fast` uses (see note_uses); 0 makes them at
    /// once.
    explicit AnalyzedCode(ByteView code, uint32_t uses_until_fast);
    explicit AnalyzedCode(ByteView code)
        : AnalyzedCode(code, default_uses_until_fast(code.size())) {}
    ~AnalyzedCode() {
        delete[] runs_.load(std::memory_order_relaxed);
        if (const NativeCode* native = native_.load(std::memory_order_acquire)) {
            native->release();
        }
    }
    AnalyzedCode(const AnalyzedCode&) = delete;
    AnalyzedCode& operator=(const AnalyzedCode&) = delete;

    /// As many as have used gas in the order of what the run checks cost in time.
    static constexpr uint32_t default_uses_until_fast(size_t code_bytes) noexcept {
        return static_cast<uint32_t>(16 + code_bytes / 4);
    }

    /// The code without padding.
    ByteView bytes() const noexcept { return {padded_.data(), size_}; }
    size_t size() const noexcept { return size_; }
    /// Followed by at least 33 zero bytes, so that the program counter and PUSH data may run past
    /// the end and meet STOP.
    const uint8_t* padded() const noexcept { return padded_.data(); }
    bool is_jump_destination(uint64_t position) const noexcept {
        return position < size_ &&
               ((jump_destinations_[position / 64] >> (position % 64)) & 1) != 0;
    }
    /// The target when the code is an EIP-7702 delegation designator (0xef0100 || address).
    const std::optional<Address>& delegation() const noexcept { return delegation_; }

    /// By position: the check of the run that begins there. The run behind a JUMPDEST has paid for
    /// it and stands at the position after it; at the JUMPDEST itself is a check that always holds.
    /// Positions within a run have no meaning. Null while they are not made.
    const RunCheck* runs() const noexcept { return runs_.load(std::memory_order_acquire); }
    /// Makes them where another thread has not.
    const RunCheck* make_runs() const;

    /// Adds gas that the interpreter has spent on this code and gives the sum; about, when threads
    /// race.
    uint64_t note_gas(int64_t gas) const noexcept {
        const uint64_t sum =
            gas_spent_.load(std::memory_order_relaxed) + static_cast<uint64_t>(gas);
        gas_spent_.store(sum, std::memory_order_relaxed);
        return sum;
    }
    /// What a tier of compiled code knows of this code (native.hpp); null while it knows nothing.
    const NativeCode* native() const noexcept { return native_.load(std::memory_order_acquire); }
    /// Attaches it, once: it is released with this code. False when another thread was first; the
    /// caller keeps its reference then.
    bool attach_native(const NativeCode* native) const noexcept {
        const NativeCode* expected = nullptr;
        return native_.compare_exchange_strong(expected, native, std::memory_order_acq_rel,
                                               std::memory_order_acquire);
    }
    /// Counts uses, a taken jump as one; true when run checks are worth making.
    bool note_uses(uint32_t count) const noexcept {
        // A lost update among threads only makes the code fast a little later.
        const uint32_t used = uses_.load(std::memory_order_relaxed) + count;
        uses_.store(used, std::memory_order_relaxed);
        return used >= uses_until_fast_;
    }
    /// Jumps to take before the next note_uses, at least one: few enough to meet the limit, seldom
    /// enough not to cost much.
    uint32_t jumps_until_note() const noexcept {
        const uint32_t used = uses_.load(std::memory_order_relaxed);
        return used >= uses_until_fast_ ? 1
                                        : std::min(uses_until_fast_ - used, jumps_between_notes);
    }

private:
    static constexpr uint32_t jumps_between_notes = 32;

    size_t size_;
    uint32_t uses_until_fast_;
    Bytes padded_;
    std::vector<uint64_t> jump_destinations_;
    std::optional<Address> delegation_;
    /// Set once, with release: who sees the pointer sees the checks.
    mutable std::atomic<const RunCheck*> runs_{nullptr};
    mutable std::atomic<uint32_t> uses_{0};
    mutable std::atomic<uint64_t> gas_spent_{0};
    mutable std::atomic<const NativeCode*> native_{nullptr};
};

using AnalyzedCodePtr = std::shared_ptr<const AnalyzedCode>;

/// Designator code for an EIP-7702 delegation to `target`.
Bytes delegation_designator(const Address& target);
/// The target of a designator; nothing for other code.
std::optional<Address> parse_delegation(ByteView code) noexcept;

/// Code that workers share. Implementations are thread-safe.
class SharedCode {
public:
    virtual ~SharedCode() = default;
    /// Null when it is not there.
    virtual AnalyzedCodePtr find(const Hash256& hash) = 0;
    /// Keeps `code`, or gives what another thread has kept under this hash before.
    virtual AnalyzedCodePtr add(const Hash256& hash, AnalyzedCodePtr code) = 0;
    /// The tier of compiled code that goes with it; null for none.
    virtual NativeTier* native_tier() noexcept { return nullptr; }
};

/// Analysed code by hash, bounded by the bytes it takes. Of the code not asked for since its last
/// turn the oldest is evicted first (second chance). One per worker: not thread-safe. What it lacks
/// it looks for in the shared code, if there is any.
class CodeCache {
public:
    static constexpr size_t default_bytes_max = size_t{64} << 20;
    explicit CodeCache(size_t bytes_max = default_bytes_max) noexcept : bytes_max_(bytes_max) {}

    /// Code with this hash, analysed; asks `view` for the bytes on a miss.
    AnalyzedCodePtr get(const Hash256& hash, StateView& view);
    /// Code with this hash if it is here.
    AnalyzedCodePtr find(const Hash256& hash) noexcept;
    /// An analysis by this cache's rules that is not kept, of code that has no hash yet.
    AnalyzedCodePtr analyze(ByteView code) const;
    size_t bytes() const noexcept { return bytes_; }

    /// `shared` must outlive the cache; null for none.
    void share(SharedCode* shared) noexcept { shared_ = shared; }
    /// Fixes the uses after which code gets run checks, whatever its size; for tests.
    void set_uses_until_fast(uint32_t uses) noexcept { uses_until_fast_ = uses; }

    /// What an analysis takes in memory once it has run checks, with its table entry.
    static size_t cost_bytes(const AnalyzedCode& code) noexcept {
        constexpr size_t entry_bytes = 1'024;  // measured: up to 850 for codes of a few bytes
        return entry_bytes + code.size() * (2 + sizeof(RunCheck));
    }
    /// Entries that one eviction looks at before it takes the next one whatever its use.
    static constexpr size_t second_chances_max = 64;

private:
    size_t bytes_max_;
    size_t bytes_ = 0;
    SharedCode* shared_ = nullptr;
    struct Entry {
        AnalyzedCodePtr code;
        bool asked_for = false;
    };
    void evict_one();

    std::optional<uint32_t> uses_until_fast_;
    std::unordered_map<Hash256, Entry> entries_;
    std::deque<Hash256> order_;
};

/// The analysis of empty code.
const AnalyzedCodePtr& empty_code();

}  // namespace millrace::evm
