// SPDX-License-Identifier: Apache-2.0
// Owns the proof that viem works against the node, over HTTP and WebSocket.
import assert from "node:assert/strict";
import test from "node:test";

import {
    BaseError,
    ContractFunctionRevertedError,
    createPublicClient,
    createWalletClient,
    defineChain,
    encodeFunctionData,
    getContractAddress,
    http,
    keccak256,
    parseEther,
    webSocket,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";

import { chain_id, mnemonic } from "./harness/accounts.mjs";
import { compile } from "./harness/contracts.mjs";
import { start_node } from "./harness/node.mjs";
import { wait_for } from "./harness/rpc.mjs";

test("viem", async (t) => {
    const node = await start_node(t);
    const chain = defineChain({
        id: chain_id,
        name: "development",
        nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
        rpcUrls: { default: { http: [node.url], webSocket: [node.ws_url] } },
    });
    const sender = mnemonicToAccount(mnemonic, { addressIndex: 2 });
    const receiver = mnemonicToAccount(mnemonic, { addressIndex: 3 });
    const reader = createPublicClient({ chain, transport: http(), pollingInterval: 50 });
    const wallet = createWalletClient({ chain, account: sender, transport: http() });
    const live = createPublicClient({ chain, transport: webSocket(node.ws_url) });
    t.after(async () => (await live.transport.getRpcClient()).close());
    const counter = compile("Counter");
    let address;

    await t.test("a transfer is mined and waitForTransactionReceipt returns", async () => {
        const before = await reader.getBalance({ address: receiver.address });
        const hash = await wallet.sendTransaction({
            to: receiver.address,
            value: parseEther("1.5"),
        });
        const receipt = await reader.waitForTransactionReceipt({ hash });
        assert.equal(receipt.status, "success");
        assert.equal(receipt.gasUsed, 21_000n);
        assert.equal(receipt.transactionHash, hash);
        assert.equal(
            (await reader.getBalance({ address: receiver.address })) - before,
            parseEther("1.5"),
        );
        const transaction = await reader.getTransaction({ hash });
        assert.equal(transaction.from.toLowerCase(), sender.address.toLowerCase());
        assert.equal(transaction.value, parseEther("1.5"));
    });

    await t.test(
        "a second confirmation arrives with later blocks",
        { timeout: 120_000 },
        async () => {
            const hash = await wallet.sendTransaction({ to: receiver.address, value: 1n });
            // A development node that mines on demand needs one more transaction for one more block.
            const confirmed = reader.waitForTransactionReceipt({ hash, confirmations: 2 });
            await reader.waitForTransactionReceipt({ hash });
            await wallet.sendTransaction({ to: receiver.address, value: 1n });
            const receipt = await confirmed;
            const block = await wait_for(
                () =>
                    reader
                        .getBlock({ blockNumber: receipt.blockNumber, includeTransactions: true })
                        .catch(() => null),
                "the block of the receipt",
            );
            assert.ok(block.transactions.some((transaction) => transaction.hash === hash));
            const sealed = await reader.getTransactionReceipt({ hash });
            assert.equal(sealed.blockHash, block.hash);
        },
    );

    await t.test("deployContract puts the code at the address of sender and nonce", async () => {
        const nonce = await reader.getTransactionCount({ address: sender.address });
        const hash = await wallet.deployContract({
            abi: counter.abi,
            bytecode: counter.bytecode,
            args: [5n],
        });
        const receipt = await reader.waitForTransactionReceipt({ hash });
        address = receipt.contractAddress;
        assert.equal(
            address.toLowerCase(),
            getContractAddress({ from: sender.address, nonce: BigInt(nonce) }).toLowerCase(),
        );
        const code = await reader.getCode({ address });
        assert.ok(
            counter.bytecode.endsWith(code.slice(2)),
            "the runtime code is the tail of the creation code",
        );
        assert.equal(
            await reader.readContract({ address, abi: counter.abi, functionName: "number" }),
            5n,
        );
    });

    await t.test(
        "watchContractEvent over WebSocket sees every event in order",
        { timeout: 120_000 },
        async () => {
            const seen = [];
            const stop = live.watchContractEvent({
                address,
                abi: counter.abi,
                eventName: "Changed",
                onLogs: (logs) => seen.push(...logs.map((log) => log.args)),
                onError: (error) => seen.push(error),
            });
            // The subscription is made in the background; a round trip on the same socket is behind it.
            await live.getChainId();
            for (let i = 0; i < 5; i++) {
                const hash = await wallet.writeContract({
                    address,
                    abi: counter.abi,
                    functionName: "increment",
                });
                await reader.waitForTransactionReceipt({ hash });
            }
            await wait_for(() => seen.length >= 5, "five events");
            stop();
            assert.deepEqual(
                seen.map((args) => [args.by?.toLowerCase(), args.number]),
                [6n, 7n, 8n, 9n, 10n].map((number) => [sender.address.toLowerCase(), number]),
            );
        },
    );

    await t.test(
        "watchBlocks over WebSocket gives consecutive blocks with linked parents",
        { timeout: 120_000 },
        async () => {
            const blocks = [];
            const stop = live.watchBlocks({
                onBlock: (block) => blocks.push(block),
                emitMissed: true,
            });
            await live.getChainId();
            for (let i = 0; i < 3; i++) {
                const hash = await wallet.sendTransaction({ to: receiver.address, value: 1n });
                await reader.waitForTransactionReceipt({ hash });
            }
            await wait_for(() => blocks.length >= 3, "three blocks", 20_000);
            stop();
            for (let i = 1; i < blocks.length; i++) {
                assert.equal(blocks[i].number, blocks[i - 1].number + 1n);
                assert.equal(blocks[i].parentHash, blocks[i - 1].hash);
                assert.ok(blocks[i].timestamp >= blocks[i - 1].timestamp);
            }
        },
    );

    await t.test(
        "watchPendingTransactions over WebSocket names the transaction",
        { timeout: 120_000 },
        async () => {
            const seen = new Set();
            const stop = live.watchPendingTransactions({
                onTransactions: (hashes) => hashes.forEach((h) => seen.add(h)),
            });
            await live.getChainId();
            const hash = await wallet.sendTransaction({ to: receiver.address, value: 2n });
            await wait_for(() => seen.has(hash), "the pending transaction");
            stop();
        },
    );

    await t.test("getContractEvents and an event filter agree with the receipts", async () => {
        const logs = await reader.getContractEvents({
            address,
            abi: counter.abi,
            eventName: "Changed",
            fromBlock: 0n,
            toBlock: "pending",
        });
        assert.deepEqual(
            logs.map((log) => log.args.number),
            [6n, 7n, 8n, 9n, 10n],
        );
        const filter = await reader.createContractEventFilter({
            address,
            abi: counter.abi,
            eventName: "Changed",
        });
        const hash = await wallet.writeContract({
            address,
            abi: counter.abi,
            functionName: "set",
            args: [77n],
        });
        await reader.waitForTransactionReceipt({ hash });
        const changes = await wait_for(async () => {
            const found = await reader.getFilterChanges({ filter });
            return found.length ? found : null;
        }, "the filter's change");
        assert.deepEqual(
            changes.map((log) => log.args.number),
            [77n],
        );
        assert.equal(await reader.uninstallFilter({ filter }), true);
    });

    await t.test("a custom error is decoded from the revert data", async () => {
        await assert.rejects(
            reader.simulateContract({
                address,
                abi: counter.abi,
                functionName: "set",
                args: [1_001n],
                account: sender,
            }),
            (error) => {
                assert.ok(error instanceof BaseError);
                const cause = error.walk((inner) => inner instanceof ContractFunctionRevertedError);
                assert.equal(cause.data.errorName, "TooLarge");
                assert.deepEqual(cause.data.args, [1_001n, 1_000n]);
                return true;
            },
        );
    });

    await t.test("a state override changes what a call sees and nothing else", async () => {
        const options = { address, abi: counter.abi, functionName: "number" };
        const slot = `0x${"0".repeat(64)}`;
        const value = `0x${123n.toString(16).padStart(64, "0")}`;
        const overridden = await reader.readContract({
            ...options,
            stateOverride: [{ address, stateDiff: [{ slot, value }] }],
        });
        assert.equal(overridden, 123n);
        assert.equal(await reader.readContract(options), 77n);
    });

    await t.test("a signed raw transaction has the hash of its bytes", async () => {
        const request = await wallet.prepareTransactionRequest({ to: receiver.address, value: 9n });
        const serialized = await wallet.signTransaction(request);
        const hash = await wallet.sendRawTransaction({ serializedTransaction: serialized });
        assert.equal(hash, keccak256(serialized));
        assert.equal((await reader.waitForTransactionReceipt({ hash })).status, "success");
    });

    await t.test("an EIP-7702 authorisation delegates the account's code", async () => {
        const authorised = mnemonicToAccount(mnemonic, { addressIndex: 4 });
        const client = createWalletClient({ chain, account: authorised, transport: http() });
        const authorization = await client.signAuthorization({
            contractAddress: address,
            executor: "self",
        });
        const data = encodeFunctionData({ abi: counter.abi, functionName: "set", args: [3n] });
        const hash = await client.sendTransaction({
            to: authorised.address,
            data,
            authorizationList: [authorization],
        });
        const receipt = await reader.waitForTransactionReceipt({ hash });
        assert.equal(receipt.status, "success");
        const code = await reader.getCode({ address: authorised.address });
        assert.equal(code, `0xef0100${address.slice(2).toLowerCase()}`);
        const read = (at) =>
            reader.readContract({ address: at, abi: counter.abi, functionName: "number" });
        assert.equal(await read(authorised.address), 3n);
        assert.equal(await read(address), 77n, "the contract's own storage is not touched");
    });

    await t.test("feeHistory and estimateFeesPerGas are consistent", async () => {
        const history = await reader.getFeeHistory({ blockCount: 2, rewardPercentiles: [50] });
        assert.equal(history.baseFeePerGas.length, history.gasUsedRatio.length + 1);
        const fees = await reader.estimateFeesPerGas();
        assert.ok(fees.maxFeePerGas >= fees.maxPriorityFeePerGas);
    });
});
