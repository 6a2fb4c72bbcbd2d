// SPDX-License-Identifier: Apache-2.0
// Owns code prepared for execution (padding, jump destinations, EIP-7702 designation) and its
// cache.
#pragma once

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

/// Code that the interpreter can run: immutable and shareable between threads.
class AnalyzedCode {
public:
    explicit AnalyzedCode(ByteView code);

    /// The code without padding.
    ByteView bytes() const noexcept { return {padded_.data(), size_}; }
    size_t size() const noexcept { return size_; }
    /// Followed by at least 33 zero bytes, so that the program counter and PUSH data may run past
    /// the end and meet STOP.
    const uint8_t* padded() const noexcept { return padded_.data(); }
    /// By position: the check of the run that begins there. The run behind a JUMPDEST has paid for
    /// it and stands at the position after it; at the JUMPDEST itself is a check that always holds.
    /// Positions within a run have no meaning.
    const RunCheck* runs() const noexcept { return runs_.data(); }
    bool is_jump_destination(uint64_t position) const noexcept {
        return position < size_ &&
               ((jump_destinations_[position / 64] >> (position % 64)) & 1) != 0;
    }
    /// The target when the code is an EIP-7702 delegation designator (0xef0100 || address).
    const std::optional<Address>& delegation() const noexcept { return delegation_; }

private:
    size_t size_;
    Bytes padded_;
    std::vector<uint64_t> jump_destinations_;
    std::vector<RunCheck> runs_;
    std::optional<Address> delegation_;
};

using AnalyzedCodePtr = std::shared_ptr<const AnalyzedCode>;

/// Designator code for an EIP-7702 delegation to `target`.
Bytes delegation_designator(const Address& target);
/// The target of a designator; nothing for other code.
std::optional<Address> parse_delegation(ByteView code) noexcept;

/// Analyses by code hash, bounded by the bytes they take (ten for each of code), oldest evicted
/// first. One per worker: not thread-safe.
class CodeCache {
public:
    explicit CodeCache(size_t bytes_max = size_t{256} << 20) noexcept : bytes_max_(bytes_max) {}

    /// Code with this hash, analysed; asks `view` for the bytes on a miss.
    AnalyzedCodePtr get(const Hash256& hash, StateView& view);
    size_t bytes() const noexcept { return bytes_; }

private:
    size_t bytes_max_;
    size_t bytes_ = 0;
    std::unordered_map<Hash256, AnalyzedCodePtr> entries_;
    std::deque<Hash256> order_;
};

/// The analysis of empty code.
const AnalyzedCodePtr& empty_code();

}  // namespace millrace::evm
