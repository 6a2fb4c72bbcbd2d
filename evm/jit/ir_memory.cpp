// SPDX-License-Identifier: Apache-2.0
// Owns the dataflow of how far memory has grown.
#include <algorithm>
#include <deque>
#include <map>

#include "evm/jit/ir_facts.hpp"

namespace millrace::evm::jit {
namespace {

/// Farther apart accesses are looked at one by one.
constexpr uint64_t reach_max = 4'096;
constexpr uint64_t offset_max = uint64_t{1} << 32;
constexpr uint64_t unreached = ~uint64_t{0};

bool is_access(const Instruction& i) {
    return i.kind == Instruction::Kind::evm &&
           (i.opcode == Opcode::mload || i.opcode == Opcode::mstore || i.opcode == Opcode::mstore8);
}
uint64_t access_bytes(const Instruction& i) { return i.opcode == Opcode::mstore8 ? 1 : 32; }

/// An address as a value and a distance from it. Without a value it is a constant.
struct Place {
    ValueId base = none;
    uint64_t distance = 0;
};

/// How far memory reaches behind a value that has been an address: [first, end) was accessed.
struct Known {
    uint64_t first = 0;
    uint64_t end = 0;
};

/// What holds at a point of the program.
struct State {
    uint64_t size = 0;  ///< memory has at least so many bytes
    std::map<ValueId, Known> known;
};

class Bounds {
public:
    explicit Bounds(Program& p) : p_(p), places_(p.values.size()) {
        for (ValueId v = 0; v < places_.size(); ++v) { places_[v] = {v, 0}; }
        for (const Block& b : p.blocks) {
            for (const Instruction& i : b.instructions) { note_sum(i); }
        }
    }

    void run() {
        std::vector<uint32_t> ways(p_.blocks.size(), 0);
        for (const Block& b : p_.blocks) {
            for (const Edge& e : b.edges) {
                if (e.to != none) { ++ways[e.to]; }
            }
        }
        for (const DynamicEntry& d : p_.dynamic_entries) { ways[d.block] += 2; }
        sizes_.assign(p_.blocks.size(), unreached);
        arrive(0, 0);
        for (const DynamicEntry& d : p_.dynamic_entries) { arrive(d.block, 0); }
        // Sizes only shrink towards the fixpoint.
        while (!work_.empty()) {
            const BlockId id = work_.front();
            work_.pop_front();
            State s;
            s.size = sizes_[id];
            visit(p_.blocks[id], s, false);
            for (const Edge& e : p_.blocks[id].edges) {
                if (e.to != none) { arrive(e.to, s.size); }
            }
        }
        // Then the marks: what is known of values goes on along chains of blocks with one way in.
        for (BlockId id = 0; id < p_.blocks.size(); ++id) {
            if (ways[id] != 1 || id == 0) { mark_from(id, ways); }
        }
    }

private:
    void note_sum(const Instruction& i) {
        if (i.kind != Instruction::Kind::evm || i.opcode != Opcode::add) { return; }
        const ValueId a = p_.arguments[i.first_argument];
        const ValueId b = p_.arguments[i.first_argument + 1];
        for (const auto& [base, by] : {std::pair{a, b}, std::pair{b, a}}) {
            if (!p_.is_constant(by) || p_.is_constant(base)) { continue; }
            const U256& c = p_.constant(by);
            if (!c.fits_u64() || c.low64() > reach_max) { return; }
            // Blocks come in an order in which some bases are not yet known: then they stand for
            // themselves.
            const Place from = places_[base];
            if (from.distance + c.low64() <= offset_max) {
                places_[i.result] = {from.base, from.distance + c.low64()};
            }
            return;
        }
    }

    void arrive(BlockId to, uint64_t size) {
        if (size >= sizes_[to]) { return; }
        sizes_[to] = size;
        work_.push_back(to);
    }

    Place place_of(const Instruction& i) const {
        const ValueId v = p_.arguments[i.first_argument];
        if (!p_.is_constant(v)) { return places_[v]; }
        const U256& c = p_.constant(v);
        return {none, c.fits_u64() && c.low64() <= offset_max ? c.low64() : unreached};
    }

    /// How far the accesses from `index` on reach, within what is paid for together.
    uint64_t reach_from(const Block& b, size_t index, const Place& place) const {
        uint64_t end = place.distance + access_bytes(b.instructions[index]);
        for (size_t n = index + 1; n < b.instructions.size(); ++n) {
            const Instruction& i = b.instructions[n];
            const bool boundary = i.kind == Instruction::Kind::charge ||
                                  i.kind == Instruction::Kind::step ||
                                  (i.kind == Instruction::Kind::evm &&
                                   (i.opcode == Opcode::gas || i.opcode == Opcode::msize));
            if (boundary) { break; }
            if (!is_access(i)) { continue; }
            const Place other = place_of(i);
            if (other.base != place.base || other.distance == unreached ||
                other.distance < place.distance || other.distance - place.distance > reach_max) {
                continue;
            }
            end = std::max(end, other.distance + access_bytes(i));
        }
        return end;
    }

    void visit(Block& b, State& s, bool mark) {
        for (size_t n = 0; n < b.instructions.size(); ++n) {
            Instruction& i = b.instructions[n];
            if (!is_access(i)) { continue; }
            const Place place = place_of(i);
            if (place.distance == unreached) {
                if (mark) { set(i, false, access_bytes(i)); }
                continue;
            }
            if (place.base == none) {
                const bool inside = place.distance + access_bytes(i) <= s.size;
                const uint64_t end = inside ? s.size : reach_from(b, n, place);
                if (mark) { set(i, inside, end - place.distance); }
                s.size = std::max(s.size, (end + 31) / 32 * 32);
                continue;
            }
            const auto at = s.known.find(place.base);
            const bool inside = at != s.known.end() && place.distance >= at->second.first &&
                                place.distance + access_bytes(i) <= at->second.end;
            if (inside) {
                if (mark) { set(i, true, 0); }
                continue;
            }
            const uint64_t end = reach_from(b, n, place);
            if (mark) { set(i, false, end - place.distance); }
            if (at == s.known.end()) {
                s.known.emplace(place.base, Known{place.distance, end});
            } else {
                at->second.first = std::min(at->second.first, place.distance);
                at->second.end = std::max(at->second.end, end);
            }
        }
    }

    static void set(Instruction& i, bool in_bounds, uint64_t reach) {
        i.in_bounds = in_bounds;
        i.reach = static_cast<uint32_t>(in_bounds ? 0 : reach);
    }

    void mark_from(BlockId start, const std::vector<uint32_t>& ways) {
        std::vector<std::pair<BlockId, State>> path;
        path.emplace_back(start, State{});
        while (!path.empty()) {
            auto [id, s] = std::move(path.back());
            path.pop_back();
            if (sizes_[id] == unreached) { continue; }
            s.size = std::max(s.size, sizes_[id]);
            visit(p_.blocks[id], s, true);
            // What a contract knows at once is little; more than this would make long chains dear.
            constexpr size_t known_max = 16;
            if (s.known.size() > known_max) { s.known.clear(); }
            for (const Edge& e : p_.blocks[id].edges) {
                if (e.to != none && e.to != 0 && ways[e.to] == 1) { path.emplace_back(e.to, s); }
            }
        }
    }

    Program& p_;
    std::vector<Place> places_;
    std::vector<uint64_t> sizes_;
    std::deque<BlockId> work_;
};

}  // namespace

void infer_memory_bounds(Program& p) { Bounds{p}.run(); }

}  // namespace millrace::evm::jit
