// SPDX-License-Identifier: Apache-2.0
// Owns code analysis and its cache.
#include "evm/core/code.hpp"

#include "evm/core/detail/run_traits.hpp"
#include "evm/core/opcodes.hpp"

namespace millrace::evm {
namespace {
constexpr size_t padding_bytes = 33;
constexpr uint8_t designator_prefix[3] = {0xef, 0x01, 0x00};

/// What an analysis takes in memory.
size_t cost_bytes(const AnalyzedCode& code) noexcept {
    return code.size() * (2 + sizeof(RunCheck));
}
}  // namespace

AnalyzedCode::AnalyzedCode(ByteView code)
    : size_(code.size()),
      padded_(code.size() + padding_bytes),
      jump_destinations_(code.size() / 64 + 1),
      runs_(code.size() + padding_bytes) {
    std::copy(code.begin(), code.end(), padded_.begin());
    detail::RunBuilder run;
    size_t start = 0;
    size_t i = 0;
    auto finish = [&](size_t next) {
        runs_[start] = run.check();
        run = {};
        start = next;
    };
    // One step into the padding: its STOP is a run of its own.
    for (; i <= size_; ++i) {
        const uint8_t op = padded_[i];
        const detail::RunTraits& t = detail::run_traits[op];
        if (op == static_cast<uint8_t>(Opcode::jumpdest)) {
            finish(i);
            jump_destinations_[i / 64] |= uint64_t{1} << (i % 64);
            start = i + 1;
            run.add(t);
            continue;
        }
        switch (t.kind) {
            case detail::RunKind::inside: run.add(t); break;
            case detail::RunKind::last:
                run.add(t);
                finish(i + 1);
                break;
            case detail::RunKind::apart: finish(i + 1); break;
        }
        if (op >= static_cast<uint8_t>(Opcode::push1) &&
            op <= static_cast<uint8_t>(Opcode::push32)) {
            i += op - static_cast<size_t>(Opcode::push1) + 1;
        }
    }
    if (start < runs_.size()) { runs_[start] = run.check(); }
    delegation_ = parse_delegation(code);
}

Bytes delegation_designator(const Address& target) {
    Bytes out(designator_prefix, designator_prefix + 3);
    out.insert(out.end(), target.begin(), target.end());
    return out;
}

std::optional<Address> parse_delegation(ByteView code) noexcept {
    if (code.size() != 23 || !std::equal(designator_prefix, designator_prefix + 3, code.begin())) {
        return std::nullopt;
    }
    return Address::from(code.subspan(3));
}

const AnalyzedCodePtr& empty_code() {
    static const AnalyzedCodePtr code = std::make_shared<const AnalyzedCode>(ByteView{});
    return code;
}

AnalyzedCodePtr CodeCache::get(const Hash256& hash, StateView& view) {
    if (const auto it = entries_.find(hash); it != entries_.end()) { return it->second; }
    const CodePtr code = view.code(hash);
    auto analyzed = std::make_shared<const AnalyzedCode>(ByteView{*code});
    bytes_ += cost_bytes(*analyzed);
    entries_.emplace(hash, analyzed);
    order_.push_back(hash);
    while (bytes_ > bytes_max_ && order_.size() > 1) {
        const auto oldest = entries_.find(order_.front());
        bytes_ -= cost_bytes(*oldest->second);
        entries_.erase(oldest);
        order_.pop_front();
    }
    return analyzed;
}

}  // namespace millrace::evm
