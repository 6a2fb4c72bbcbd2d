// SPDX-License-Identifier: Apache-2.0
// Owns learning which groups of transactions conflict.
#include "host/sequencer/executor/access_predictor.hpp"

#include <algorithm>
#include <cstring>

namespace millrace::sequencer {

uint64_t AccessPredictor::group_of(const AdmittedTransaction& tx) noexcept {
    const evm::Transaction& t = tx.transaction;
    if (!t.to || t.data.empty()) { return 0; }
    uint32_t selector = 0;
    std::memcpy(&selector, t.data.data(), std::min(t.data.size(), sizeof selector));
    const uint64_t h = (hash_value(*t.to) ^ selector) * 0x9e3779b97f4a7c15;
    return (h ^ (h >> 32)) | 1;
}

std::optional<uint32_t> AccessPredictor::lane_of(const AdmittedTransaction& tx) noexcept {
    const uint64_t group = group_of(tx);
    if (group == 0) { return std::nullopt; }
    Entry& e = entry(group);
    if (e.group != group || e.turns_left == 0) { return std::nullopt; }
    const uint32_t lane = e.lane;
    if (--e.turns_left == 0) {
        --hot_in_lane_[lane];
        e.score = hot_score - per_refusal;  // the next refusal brings it back
    }
    return lane;
}

void AccessPredictor::learn(const AdmittedTransaction& tx, uint32_t refusals) noexcept {
    const uint64_t group = group_of(tx);
    if (group == 0) { return; }
    Entry& e = entry(group);
    if (e.group != group) {
        if (refusals == 0) { return; }
        if (e.turns_left != 0) { --hot_in_lane_[e.lane]; }
        e = {};
        e.group = group;
    }
    if (e.turns_left != 0) { return; }
    e.score =
        refusals == 0 ? e.score - std::min(e.score, uint32_t{1}) : e.score + refusals * per_refusal;
    if (e.score < hot_score) { return; }
    const auto least = std::min_element(hot_in_lane_.begin(), hot_in_lane_.end());
    e.lane = static_cast<uint32_t>(least - hot_in_lane_.begin());
    e.turns_left = lane_turns;
    ++*least;
}

}  // namespace millrace::sequencer
