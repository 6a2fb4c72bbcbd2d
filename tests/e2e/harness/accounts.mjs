// SPDX-License-Identifier: Apache-2.0
// Owns the ten funded accounts of a development chain and their signing by hand.
import { HDNodeWallet, Mnemonic, Wallet } from "ethers";

export const chain_id = 31337;
export const gwei = 1_000_000_000n;
export const ether = gwei * gwei;
export const mnemonic = "test test test test test test test test test test test junk";

/** {address, private_key} of m/44'/60'/0'/0/index for index 0 to 9. */
export const accounts = Array.from({ length: 10 }, (_, index) => {
    const wallet = HDNodeWallet.fromMnemonic(
        Mnemonic.fromPhrase(mnemonic),
        `m/44'/60'/0'/0/${index}`,
    );
    return { address: wallet.address, private_key: wallet.privateKey };
});

/** Signs an EIP-1559 transaction of the account; `fields` has nonce and what differs from a plain transfer. */
export function sign(account, fields) {
    const wallet = new Wallet(account.private_key);
    return wallet.signTransaction({
        type: 2,
        chainId: chain_id,
        gasLimit: 21_000n,
        maxFeePerGas: 100n * gwei,
        maxPriorityFeePerGas: gwei,
        value: 0n,
        ...fields,
    });
}

/** A seeded generator of uniform numbers in [0, 1); E2E_SEED repeats a run. */
export function random(t) {
    let state = BigInt(process.env.E2E_SEED ?? Date.now() % 1_000_000_007);
    (t?.diagnostic ? (text) => t.diagnostic(text) : console.error)(`E2E_SEED=${state}`);
    return () => {
        // splitmix64
        state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
        let z = state;
        z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
        z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
        z ^= z >> 31n;
        return Number(z >> 11n) / 2 ** 53;
    };
}
