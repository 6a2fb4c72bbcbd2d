// SPDX-License-Identifier: Apache-2.0
// Owns finding, keeping and evicting shared code.
#include "host/sequencer/executor/shared_code.hpp"

namespace millrace::sequencer {

evm::AnalyzedCodePtr SharedCodeStore::find(const Hash256& hash) {
    Shard& s = shard_of(hash);
    const std::lock_guard lock(s.mutex);
    const auto it = s.entries.find(hash);
    if (it == s.entries.end()) { return nullptr; }
    it->second.asked_for = true;
    return it->second.code;
}

evm::AnalyzedCodePtr SharedCodeStore::add(const Hash256& hash, evm::AnalyzedCodePtr code) {
    Shard& s = shard_of(hash);
    const std::lock_guard lock(s.mutex);
    const auto [it, is_new] = s.entries.try_emplace(hash, Entry{code, false});
    if (!is_new) { return it->second.code; }
    s.order.push_back(hash);
    s.bytes += evm::CodeCache::cost_bytes(*code);
    while (s.bytes > shard_bytes_max_ && s.order.size() > 1) { evict_one(s); }
    return code;
}

void SharedCodeStore::evict_one(Shard& s) {
    for (size_t looked_at = 0;; ++looked_at) {
        const Hash256 candidate = s.order.front();
        s.order.pop_front();
        const auto at = s.entries.find(candidate);
        if (at->second.asked_for && looked_at < evm::CodeCache::second_chances_max) {
            at->second.asked_for = false;
            s.order.push_back(candidate);
            continue;
        }
        s.bytes -= evm::CodeCache::cost_bytes(*at->second.code);
        s.entries.erase(at);
        return;
    }
}

evm::AnalyzedCodePtr SharedCodeStore::peek(const Hash256& hash) {
    Shard& s = shard_of(hash);
    const std::lock_guard lock(s.mutex);
    const auto it = s.entries.find(hash);
    return it == s.entries.end() ? nullptr : it->second.code;
}

size_t SharedCodeStore::bytes() const {
    size_t sum = 0;
    for (const Shard& s : shards_) {
        const std::lock_guard lock(s.mutex);
        sum += s.bytes;
    }
    return sum;
}

}  // namespace millrace::sequencer
