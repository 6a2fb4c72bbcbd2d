// SPDX-License-Identifier: Apache-2.0
// Owns the proof that eth_getProof answers as EIP-1186 says: a verifier of its own, from the specification of the trie,
// checks every answer against the state root of its block, while blocks go on.
import assert from "node:assert/strict";
import test from "node:test";

import { Contract, ContractFactory, JsonRpcProvider, Wallet, decodeRlp, keccak256, toBeHex, zeroPadValue } from "ethers";
import { createPublicClient, http } from "viem";

import { accounts, ether } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { is_anvil, millrace_only, start_node } from "./harness/node.mjs";
import { HttpClient, RpcError } from "./harness/rpc.mjs";

const empty_root = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
const word = (value) => zeroPadValue(toBeHex(value), 32);

/**
 * The value of `key` in the trie with this root, or null when the nodes prove that it is absent (yellow paper, appendix D).
 * Throws when they do not prove anything.
 */
function value_in_trie(root, key, nodes) {
    if (root === empty_root) {
        assert.ok(nodes.length === 0 || (is_anvil && nodes.join() === "0x80"));
        return null;
    }
    let path = keccak256(key).slice(2);
    let reference = root;
    let used = 0;
    for (;;) {
        let node = reference; // A short node is part of its parent.
        if (typeof reference === "string") {
            assert.ok(used < nodes.length, "a node is missing");
            assert.equal(keccak256(nodes[used]), reference, "a node has its hash");
            node = decodeRlp(nodes[used++]);
        }
        let found;
        if (node.length === 17) {
            found = path === "" ? node[16] : node[Number.parseInt(path[0], 16)];
            path = path.slice(1);
        } else {
            assert.equal(node.length, 2);
            const packed = node[0].slice(2);
            const flag = Number.parseInt(packed[0], 16);
            const part = flag & 1 ? packed.slice(1) : packed.slice(2);
            if (!path.startsWith(part)) {
                assert.equal(used, nodes.length, "no node is superfluous");
                return null;
            }
            path = path.slice(part.length);
            found = node[1];
            if (flag & 2) {
                assert.equal(path, "");
                assert.equal(used, nodes.length, "no node is superfluous");
                return found;
            }
        }
        if (found === "0x") {
            assert.equal(used, nodes.length, "no node is superfluous");
            return null;
        }
        reference = found;
    }
}

/** Checks everything that an answer says against a state root. */
function verify(root, answer, address) {
    assert.equal(answer.address, address.toLowerCase());
    const leaf = value_in_trie(root, address, answer.accountProof);
    if (leaf === null) {
        assert.equal(BigInt(answer.balance) + BigInt(answer.nonce), 0n);
        assert.equal(answer.storageHash, empty_root);
        assert.equal(answer.codeHash, keccak256("0x"));
    } else {
        const [nonce, balance, storage_root, code_hash] = decodeRlp(leaf);
        assert.equal(BigInt(answer.nonce), BigInt(nonce === "0x" ? 0 : nonce));
        assert.equal(BigInt(answer.balance), BigInt(balance === "0x" ? 0 : balance));
        assert.equal(answer.storageHash, storage_root);
        assert.equal(answer.codeHash, code_hash);
    }
    for (const { key, value, proof } of answer.storageProof) {
        const found = value_in_trie(answer.storageHash, word(BigInt(key)), proof);
        assert.equal(BigInt(value), found === null ? 0n : BigInt(decodeRlp(found)));
    }
    return leaf !== null;
}

test("eth_getProof", async (t) => {
    const node = await start_node(t, { args: is_anvil ? [] : ["--commitment", "mpt"] });
    const rpc = new HttpClient(node.port);
    t.after(() => rpc.close());
    const provider = new JsonRpcProvider(node.url, undefined, { cacheTimeout: -1, batchMaxCount: 1 });
    t.after(() => provider.destroy());
    const owner = new Wallet(accounts[0].private_key, provider);
    const { abi, bytecode } = compile("Token");
    const supply = 1_000_000n * ether;
    const constructor = abi.find((item) => item.type === "constructor")?.inputs ?? [];
    const deployed = await new ContractFactory(abi, bytecode, owner).deploy(
        ...constructor.map(({ type }) => (type === "string" ? "T" : type === "address" ? owner.address : supply)),
    );
    await deployed.waitForDeployment();
    const token = await deployed.getAddress();
    const stranger = `0x${"5".repeat(40)}`;
    /** The state root of the block, once it is sealed. */
    const root_of = async (tag) => (await rpc.call("eth_getBlockByNumber", [tag, false])).stateRoot;
    const sealed = async (number) => {
        for (let i = 0; i < 600 && Number(await rpc.call("eth_blockNumber")) < number; ++i) {
            await new Promise((resolve) => setTimeout(resolve, 50));
        }
    };
    await sealed((await deployed.deploymentTransaction().wait()).blockNumber);

    await t.test("proves accounts and slots that are there and that are not", async () => {
        const number = await rpc.call("eth_blockNumber");
        const slots = Array.from({ length: 8 }, (_, i) => word(i));
        let present = 0;
        for (const [address, exists] of [
            [accounts[0].address, true],
            [accounts[9].address, true],
            [token, true],
            [stranger, false],
        ]) {
            const answer = await rpc.call("eth_getProof", [address, slots, number]);
            assert.equal(verify(await root_of(number), answer, address), exists);
            assert.equal(answer.storageProof.length, slots.length);
            present += answer.storageProof.filter(({ value }) => BigInt(value) !== 0n).length;
            assert.equal(BigInt(answer.balance), BigInt(await rpc.call("eth_getBalance", [address, number])));
        }
        assert.ok(present > 0, "the token has storage");
    });

    await t.test("the answer is the one of the block while others follow under load", async () => {
        let nonce = await owner.getNonce("pending");
        const contract = new Contract(token, abi, owner);
        let checked = 0;
        for (let round = 0; round < 40; ++round) {
            const to = `0x${(0xabc0000 + round).toString(16).padStart(40, "0")}`;
            await (round % 2 === 0
                ? owner.sendTransaction({ to, value: 1n, nonce: nonce++ })
                : contract.transfer(to, 1n, { nonce: nonce++, gasLimit: 200_000 }));
            const block = await rpc.call("eth_getBlockByNumber", ["latest", false]);
            const asked = round % 3 === 0 ? token : owner.address;
            try {
                const answer = await rpc.call("eth_getProof", [asked, [word(0), word(2)], block.number]);
                assert.ok(verify(block.stateRoot, answer, asked));
                ++checked;
            } catch (error) {
                // Going back to a block that is not the newest any more has a share of the time.
                assert.ok(error instanceof RpcError, error.stack);
                assert.equal(error.code, -32005, error.message);
            }
            await new Promise((resolve) => setTimeout(resolve, 30));
        }
        assert.ok(checked >= 20, `${checked} of 40 were answered`);
        await sealed(Number(await rpc.call("eth_blockNumber")) + 1);
        const block = await rpc.call("eth_getBlockByNumber", ["latest", false]);
        const answer = await rpc.call("eth_getProof", [owner.address, [], block.number]);
        verify(block.stateRoot, answer, owner.address);
    });

    await t.test("viem takes it", async () => {
        const client = createPublicClient({ transport: http(node.url) });
        const proof = await client.getProof({ address: token, storageKeys: [word(2)] });
        assert.equal(proof.storageProof.length, 1);
        assert.ok(proof.accountProof.length > 0);
    });

    await t.test("a tampered answer does not verify", async () => {
        const number = await rpc.call("eth_blockNumber");
        const root = await root_of(number);
        const answer = await rpc.call("eth_getProof", [owner.address, [], number]);
        assert.ok(verify(root, answer, owner.address));
        assert.throws(() => verify(root, { ...answer, balance: "0x1" }, owner.address));
        assert.throws(() => verify(root, { ...answer, accountProof: answer.accountProof.slice(1) }, owner.address));
        assert.throws(() => verify(keccak256(root), answer, owner.address));
    });

    await t.test("what it cannot prove gets a clear error", { skip: millrace_only }, async () => {
        const code = async (...params) => {
            try {
                await rpc.call("eth_getProof", params);
            } catch (error) {
                return [error.code, error.message];
            }
            return [0, ""];
        };
        const [pending, why] = await code(owner.address, [], "pending");
        assert.equal(pending, -32000);
        assert.match(why, /no state root yet/);
        assert.equal((await code(owner.address, [], "0xffffff"))[0], -32000);
        assert.equal((await code("0x12", [], "latest"))[0], -32602);
        assert.equal((await code(owner.address, ["zz"], "latest"))[0], -32602);
        await rpc.call("evm_mine", []);
        for (let i = 0; i < 10; ++i) {
            await rpc.call("evm_mine", []);
        }
        const [old, reason] = await code(owner.address, [], "0x1");
        assert.equal(old, -32000);
        assert.match(reason, /last 8 blocks/);
    });
});
