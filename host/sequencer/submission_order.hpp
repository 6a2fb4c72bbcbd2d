// SPDX-License-Identifier: Apache-2.0
// Owns the order of submission behind recovery, which does not keep it.
#pragma once

#include <bit>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::sequencer {

/// Submissions are numbered as they come and arrive in another order, because recovery works on
/// several batches at the same time. Tells whether all before one have arrived. One thread.
class SubmissionOrder {
public:
    /// A submission that is overtaken by `window` later ones, a power of two from 64 on, counts as
    /// arrived: whoever waits for it waits no longer.
    explicit SubmissionOrder(uint64_t window) : window_(window), bits_(window / 64) {
        MILLRACE_ASSERT(window >= 64 && std::has_single_bit(window),
                        "the window of submissions is a power of two, at least 64");
    }

    /// Each number once, arrived or given up.
    void arrived(uint64_t number) noexcept {
        if (number < first_) { return; }  // its window was over
        while (number - first_ >= window_) { step(); }
        word(number) |= bit(number);
        while ((word(first_) & bit(first_)) != 0) { step(); }
    }
    /// The lowest number that has not arrived.
    uint64_t first_missing() const noexcept { return first_; }

private:
    uint64_t& word(uint64_t number) noexcept { return bits_[number % window_ / 64]; }
    static uint64_t bit(uint64_t number) noexcept { return uint64_t{1} << number % 64; }
    void step() noexcept {
        word(first_) &= ~bit(first_);
        ++first_;
    }

    const uint64_t window_;
    std::vector<uint64_t> bits_;  ///< of the numbers [first_, first_ + window_)
    uint64_t first_ = 0;
};

/// Arrivals that wait for earlier submissions of the same sender. At most one for each sender,
/// nonce and number; bounded by the window of the order above, because none is kept beyond it.
/// One thread.
template <class T>
class HeldArrivals {
public:
    bool empty() const noexcept { return by_number_.empty(); }
    size_t size() const noexcept { return by_number_.size(); }

    void hold(uint64_t number, const Address& sender, uint64_t nonce, T value) {
        by_number_.emplace(number, Held{sender, nonce, std::move(value)});
        senders_[sender].emplace(nonce, number);
    }
    /// The earliest submission of this sender with this nonce.
    std::optional<T> take(const Address& sender, uint64_t nonce) {
        const auto of_sender = senders_.find(sender);
        if (of_sender == senders_.end()) { return std::nullopt; }
        const auto found = of_sender->second.lower_bound({nonce, 0});
        if (found == of_sender->second.end() || found->first != nonce) { return std::nullopt; }
        return remove(by_number_.find(found->second));
    }
    /// The earliest one, when it was submitted before `number`.
    std::optional<T> take_before(uint64_t number) {
        if (by_number_.empty() || by_number_.begin()->first >= number) { return std::nullopt; }
        return remove(by_number_.begin());
    }

private:
    struct Held {
        Address sender;
        uint64_t nonce;
        T value;
    };
    using ByNumber = std::map<uint64_t, Held>;

    T remove(typename ByNumber::iterator at) {
        const auto of_sender = senders_.find(at->second.sender);
        of_sender->second.erase({at->second.nonce, at->first});
        if (of_sender->second.empty()) { senders_.erase(of_sender); }
        T value = std::move(at->second.value);
        by_number_.erase(at);
        return value;
    }

    ByNumber by_number_;
    /// Nonce and number of what is held of each sender.
    std::unordered_map<Address, std::set<std::pair<uint64_t, uint64_t>>> senders_;
};

}  // namespace millrace::sequencer
