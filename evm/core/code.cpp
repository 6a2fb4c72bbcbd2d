// SPDX-License-Identifier: Apache-2.0
// Owns code analysis and its cache.
#include "evm/core/code.hpp"

#include <bit>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "evm/core/detail/run_traits.hpp"
#include "evm/core/opcodes.hpp"

namespace millrace::evm {
namespace {
constexpr size_t padding_bytes = 33;
constexpr uint8_t designator_prefix[3] = {0xef, 0x01, 0x00};

constexpr uint8_t push1 = static_cast<uint8_t>(Opcode::push1);
constexpr uint8_t push32 = static_cast<uint8_t>(Opcode::push32);
constexpr uint8_t jumpdest = static_cast<uint8_t>(Opcode::jumpdest);
constexpr size_t block_bytes = 64;

/// Which of 64 bytes satisfy a condition, lowest first.
struct BlockMasks {
    uint64_t jumpdests = 0;
    uint64_t pushes = 0;
};

BlockMasks masks_of(const uint8_t* p) noexcept {
    BlockMasks m;
#if defined(__AVX2__)
    for (size_t half = 0; half < 2; ++half) {
        const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * half));
        const __m256i dest = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(static_cast<char>(jumpdest)));
        // 0x60 to 0x7f are the bytes whose top three bits are 011.
        const __m256i push =
            _mm256_cmpeq_epi8(_mm256_and_si256(v, _mm256_set1_epi8(static_cast<char>(0xe0))),
                              _mm256_set1_epi8(push1));
        m.jumpdests |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(dest)))
                       << (32 * half);
        m.pushes |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(push)))
                    << (32 * half);
    }
#else
    for (size_t i = 0; i < block_bytes; ++i) {
        m.jumpdests |= static_cast<uint64_t>(p[i] == jumpdest) << i;
        m.pushes |= static_cast<uint64_t>(p[i] >= push1 && p[i] <= push32) << i;
    }
#endif
    return m;
}

/// The JUMPDESTs of a block that are not push data. `skip` is the number of bytes, at most 32, that
/// are data of a push before the block; it is set to that of the next block.
uint64_t jump_destinations_of(const uint8_t* p, size_t& skip) noexcept {
    const BlockMasks m = masks_of(p);
    uint64_t data = (uint64_t{1} << skip) - 1;
    skip = 0;
    // Each step takes the first push that is no data; behind it all up to its data's end is done.
    for (uint64_t pushes = m.pushes & ~data; pushes != 0;) {
        const auto at = static_cast<size_t>(std::countr_zero(pushes));
        const size_t data_bytes = p[at] - (push1 - size_t{1});
        const size_t end = at + 1 + data_bytes;
        const uint64_t from_next = at == 63 ? 0 : ~uint64_t{0} << (at + 1);
        if (end >= block_bytes) {
            data |= from_next;
            skip = end - block_bytes;
            break;
        }
        const uint64_t from_end = ~uint64_t{0} << end;
        data |= from_next & ~from_end;
        pushes &= from_end;
    }
    return m.jumpdests & ~data;
}

}  // namespace

AnalyzedCode::AnalyzedCode(ByteView code, uint32_t uses_until_fast)
    : size_(code.size()),
      uses_until_fast_(uses_until_fast),
      // Whole blocks can be looked at, and the program counter may run on behind the end.
      padded_((code.size() + block_bytes - 1) / block_bytes * block_bytes + padding_bytes),
      jump_destinations_((code.size() + block_bytes - 1) / block_bytes),
      delegation_(parse_delegation(code)) {
    std::copy(code.begin(), code.end(), padded_.begin());
    size_t skip = 0;
    for (size_t i = 0; i < jump_destinations_.size(); ++i) {
        jump_destinations_[i] = jump_destinations_of(padded_.data() + i * block_bytes, skip);
    }
    if (uses_until_fast_ == 0) { make_runs(); }
}

const RunCheck* AnalyzedCode::make_runs() const {
    if (const RunCheck* made = runs(); made != nullptr) { return made; }
    const size_t count = size_ + padding_bytes;
    auto checks = std::make_unique<RunCheck[]>(count);
    detail::RunBuilder run;
    size_t start = 0;
    const auto finish = [&](size_t next) {
        checks[start] = run.check();
        run = {};
        start = next;
    };
    // One step into the padding: its STOP is a run of its own.
    for (size_t i = 0; i <= size_; ++i) {
        const uint8_t op = padded_[i];
        const detail::RunTraits& t = detail::run_traits[op];
        if (op == jumpdest) {
            finish(i);
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
        if (op >= push1 && op <= push32) { i += op - push1 + size_t{1}; }
    }
    if (start < count) { checks[start] = run.check(); }
    const RunCheck* expected = nullptr;
    // Acquire: on failure another thread's checks are used.
    if (runs_.compare_exchange_strong(expected, checks.get(), std::memory_order_acq_rel,
                                      std::memory_order_acquire)) {
        return checks.release();
    }
    return expected;
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

AnalyzedCodePtr CodeCache::analyze(ByteView code) const {
    return uses_until_fast_ ? std::make_shared<const AnalyzedCode>(code, *uses_until_fast_)
                            : std::make_shared<const AnalyzedCode>(code);
}

AnalyzedCodePtr CodeCache::find(const Hash256& hash) noexcept {
    const auto it = entries_.find(hash);
    if (it == entries_.end()) { return nullptr; }
    it->second.asked_for = true;
    return it->second.code;
}

AnalyzedCodePtr CodeCache::get(const Hash256& hash, StateView& view) {
    if (AnalyzedCodePtr here = find(hash); here != nullptr) { return here; }
    AnalyzedCodePtr analyzed = shared_ != nullptr ? shared_->find(hash) : nullptr;
    if (analyzed == nullptr) {
        analyzed = analyze(*view.code(hash));
        if (shared_ != nullptr) { analyzed = shared_->add(hash, std::move(analyzed)); }
    }
    bytes_ += cost_bytes(*analyzed);
    entries_.emplace(hash, Entry{analyzed, false});
    order_.push_back(hash);
    while (bytes_ > bytes_max_ && order_.size() > 1) { evict_one(); }
    return analyzed;
}

void CodeCache::evict_one() {
    for (size_t looked_at = 0;; ++looked_at) {
        const Hash256 candidate = order_.front();
        order_.pop_front();
        const auto at = entries_.find(candidate);
        if (at->second.asked_for && looked_at < second_chances_max) {
            at->second.asked_for = false;
            order_.push_back(candidate);
            continue;
        }
        bytes_ -= cost_bytes(*at->second.code);
        entries_.erase(at);
        return;
    }
}

}  // namespace millrace::evm
