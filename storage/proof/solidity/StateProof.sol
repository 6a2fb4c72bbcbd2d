// SPDX-License-Identifier: Apache-2.0
// Owns the check of a single state proof on chain, for trees whose node hash is Keccak-256.
pragma solidity ^0.8.20;

/// The encoding is that of storage/proof/state_proof.hpp, the tree that of storage/proof/state_tree.hpp.
library StateProof {
    /// The proof neither proves a value nor the absence of the key; `reason` says why.
    error InvalidProof(Reason reason);

    enum Reason {
        Length, // of the whole, or of the entry in it
        Key, // no value can have this key
        Entry, // not the encoding of an entry
        Dead, // the entry is not live, or beyond the shard's end
        Siblings, // announced or sent in another way than there must be
        Root, // it leads to another root
        OtherKey // the entry is neither of the key nor of its predecessor
    }

    uint256 private constant CHUNK_HEIGHT = 8;
    uint256 private constant SHARD_BITS = 4;
    uint256 private constant GRAFTED_HEIGHT_MIN = 3;
    uint256 private constant SERIAL_MAX = 1 << 48;
    uint256 private constant VALUE_BYTES_MAX = 512;
    /// Length of the entry, serial count, null siblings, ActiveBits.
    uint256 private constant FIXED_BYTES = 2 + 8 + 8 + 32;
    /// Tag, serial number, key, link.
    uint256 private constant ENTRY_PREFIX_BYTES = 1 + 8 + 32 + 24;

    struct Entry {
        uint256 serial;
        bytes32 key;
        bytes24 next;
    }

    /// The value that `key` has in the state of `root`, or that it has none. Reverts with
    /// InvalidProof when the proof proves neither.
    function verify(bytes32 root, bytes32 key, bytes calldata proof)
        internal
        pure
        returns (bool present, bytes calldata value)
    {
        if (bytes24(key) == sentinel(key)) revert InvalidProof(Reason.Key);
        if (proof.length < FIXED_BYTES) revert InvalidProof(Reason.Length);
        uint256 entryBytes = uint16(bytes2(proof[0:2]));
        if (proof.length < FIXED_BYTES + entryBytes) revert InvalidProof(Reason.Length);
        bytes calldata encoded = proof[2:2 + entryBytes];
        Entry memory entry;
        (entry, value) = decodeEntry(encoded);
        if (rootOf(entry, keccak256(encoded), proof[2 + entryBytes:]) != root) {
            revert InvalidProof(Reason.Root);
        }
        if (entry.key == key) return (true, value);
        bool sameShard = uint256(entry.key ^ key) >> (256 - SHARD_BITS) == 0;
        bool leadsPast = entry.next == sentinel(entry.key) || bytes24(key) < entry.next;
        if (!sameShard || key < entry.key || !leadsPast) revert InvalidProof(Reason.OtherKey);
        return (false, encoded[0:0]);
    }

    /// The link to the sentinel of a key's shard.
    function sentinel(bytes32 key) private pure returns (bytes24) {
        return bytes24(key & bytes32(uint256(0xf) << 252));
    }

    function decodeEntry(bytes calldata encoded) private pure returns (Entry memory entry, bytes calldata value) {
        if (encoded.length < ENTRY_PREFIX_BYTES + 3 || encoded[0] != 0x01) revert InvalidProof(Reason.Entry);
        entry.serial = uint64(bytes8(encoded[1:9]));
        entry.key = bytes32(encoded[9:41]);
        entry.next = bytes24(encoded[41:65]);
        uint256 distance;
        uint256 valueBytes;
        (, uint256 offset) = takeVarint(encoded, ENTRY_PREFIX_BYTES); // the height
        (distance, offset) = takeVarint(encoded, offset);
        (valueBytes, offset) = takeVarint(encoded, offset);
        if (entry.serial >= SERIAL_MAX || distance > entry.serial) revert InvalidProof(Reason.Entry);
        if (valueBytes > VALUE_BYTES_MAX || encoded.length != offset + valueBytes) revert InvalidProof(Reason.Entry);
        value = encoded[offset:];
    }

    /// LEB128 of at most 64 bits, without superfluous bytes.
    function takeVarint(bytes calldata data, uint256 offset) private pure returns (uint256 value, uint256 end) {
        for (uint256 shift = 0; shift <= 63; shift += 7) {
            if (offset == data.length) revert InvalidProof(Reason.Entry);
            uint256 b = uint8(data[offset++]);
            value |= (b & 0x7f) << shift;
            if (b < 0x80) {
                if ((b == 0 && shift != 0) || value > type(uint64).max) revert InvalidProof(Reason.Entry);
                return (value, offset);
            }
        }
        revert InvalidProof(Reason.Entry);
    }

    /// The root that the path leads to. `path`: serial count, null siblings, ActiveBits, siblings.
    function rootOf(Entry memory entry, bytes32 node, bytes calldata path) private pure returns (bytes32) {
        uint256 serialCount = uint64(bytes8(path[0:8]));
        uint256 nulls = uint64(bytes8(path[8:16]));
        bytes32 activeBits = bytes32(path[16:48]);
        uint256 serial = entry.serial;
        {
            uint256 place = serial & 0xff;
            // The lowest bit of the first byte comes first.
            bool live = uint8(activeBits[place >> 3]) >> (place & 7) & 1 == 1;
            if (serialCount > SERIAL_MAX || serial >= serialCount || !live) revert InvalidProof(Reason.Dead);
        }
        uint256 levels = CHUNK_HEIGHT + graftedHeight(serialCount);
        if (nulls >> levels != 0) revert InvalidProof(Reason.Siblings);
        if (path.length != 48 + 32 * (levels - ones(nulls) + SHARD_BITS)) revert InvalidProof(Reason.Siblings);

        uint256 offset = 48;
        bytes32 none; // what stands for nothing at this level
        for (uint256 level = 0; level < levels; ++level) {
            if (level == CHUNK_HEIGHT) {
                node = pairHash(node, activeBits);
                none = pairHash(none, 0);
            }
            bytes32 sibling = none;
            if (nulls >> level & 1 == 0) {
                sibling = bytes32(path[offset:offset + 32]);
                offset += 32;
                if (sibling == none) revert InvalidProof(Reason.Siblings);
            }
            node = serial >> level & 1 == 0 ? pairHash(node, sibling) : pairHash(sibling, node);
            none = pairHash(none, none);
        }
        node = pairHash(node, bytes32(serialCount));
        uint256 shard = uint256(entry.key) >> (256 - SHARD_BITS);
        for (uint256 level = 0; level < SHARD_BITS; ++level) {
            bytes32 sibling = bytes32(path[offset:offset + 32]);
            offset += 32;
            node = shard >> level & 1 == 0 ? pairHash(node, sibling) : pairHash(sibling, node);
        }
        return node;
    }

    /// Height of a shard's tree over its chunks of 256 entries.
    function graftedHeight(uint256 serialCount) private pure returns (uint256 height) {
        height = GRAFTED_HEIGHT_MIN;
        while (serialCount > uint256(1) << (CHUNK_HEIGHT + height)) ++height;
    }

    function ones(uint256 bits) private pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) ++count;
    }

    function pairHash(bytes32 left, bytes32 right) private pure returns (bytes32 out) {
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            out := keccak256(0x00, 0x40)
        }
    }
}

/// The library for those who call a contract.
contract StateProofVerifier {
    /// As StateProof.verify.
    function verify(bytes32 root, bytes32 key, bytes calldata proof)
        external
        pure
        returns (bool present, bytes memory value)
    {
        return StateProof.verify(root, key, proof);
    }
}
