// SPDX-License-Identifier: Apache-2.0
// Owns a priority queue from which anything can be taken out again.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace millrace::sequencer {

/// A binary heap of pointers to nodes that know their place in it: `Node::*place` is a size_t that
/// only the heap writes. The node for which `Before(a, b)` holds against all others is on top. What
/// `Before` compares must not change while a node is in. One thread; nodes outlive their stay.
template <class Node, size_t Node::* place, class Before>
class ReadyHeap {
public:
    bool empty() const noexcept { return nodes_.empty(); }
    size_t size() const noexcept { return nodes_.size(); }
    Node* top() const noexcept { return nodes_.front(); }

    void push(Node* n) {
        nodes_.push_back(n);
        rise(nodes_.size() - 1);
    }
    void erase(Node* n) noexcept {
        const size_t at = n->*place;
        Node* last = nodes_.back();
        nodes_.pop_back();
        if (last == n) { return; }
        put(at, last);
        rise(at);
        sink(last->*place);
    }
    void clear() noexcept { nodes_.clear(); }

private:
    void put(size_t at, Node* n) noexcept {
        nodes_[at] = n;
        n->*place = at;
    }
    void rise(size_t at) noexcept {
        Node* n = nodes_[at];
        while (at != 0) {
            const size_t parent = (at - 1) / 2;
            if (!Before{}(*n, *nodes_[parent])) { break; }
            put(at, nodes_[parent]);
            at = parent;
        }
        put(at, n);
    }
    void sink(size_t at) noexcept {
        Node* n = nodes_[at];
        for (;;) {
            size_t child = 2 * at + 1;
            if (child >= nodes_.size()) { break; }
            if (child + 1 < nodes_.size() && Before{}(*nodes_[child + 1], *nodes_[child])) {
                ++child;
            }
            if (!Before{}(*nodes_[child], *n)) { break; }
            put(at, nodes_[child]);
            at = child;
        }
        put(at, n);
    }

    std::vector<Node*> nodes_;
};

}  // namespace millrace::sequencer
