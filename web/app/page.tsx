export default function Page() { return <h1 className="text-xl font-semibold">FlashGuard</h1>; }
